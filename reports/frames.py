"""Runs as tidy pandas frames: one row an observation, one column a variable, every run in one table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sora_eval.compare.comparison import label_of
from sora_eval.registry.metrics import REGISTRY
from sora_eval.runs.folder import RunFolder, Table

_SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)")


class Column(NamedTuple):
    """A column's dtype and meaning. Kinds: text ("" where there is none), name (NA where there is none), whole, real,
    flag, nested (lists and tables, as they were)."""

    kind: str
    about: str

    @property
    def dtype(self) -> str:
        return {"text": "string", "name": "string", "whole": "Int64", "real": "float64", "flag": "boolean"}.get(
            self.kind, "object"
        )


_RUN = {
    "run": Column("name", "name of the run folder"),
    "label": Column("name", "generator:checkpoint"),
}
_SIZE = {
    "shape": Column("text", "WIDTHxHEIGHTxFRAMES in px"),
    "width": Column("whole", "px"),
    "height": Column("whole", "px"),
    "frames": Column("whole", "length in frames"),
}

# The columns that every table starts with, whatever the run holds. More may follow, as the rows have them.
SCHEMA: dict[Table | str, dict[str, Column]] = {
    "runs": {
        **_RUN,
        "suite": Column("name", "id of the suite"),
        "suite_fingerprint": Column("name", "equal where the same was asked"),
        "status": Column("text", "started, success, error or cancelled"),
        "partial": Column("flag", "made with --limit"),
        "generator": Column("name", "its name"),
        "checkpoint": Column("name", "its checkpoint"),
        "steps": Column("whole", "training steps of the checkpoint, where the run or the checkpoint's name says so"),
        "fingerprint": Column("name", "hash of weights and settings"),
        "commit": Column("name", "git commit of the folder that the run was started in"),
        "dirty": Column("flag", "with changes that were not committed"),
        "cpu": Column("name", "processor"),
        "started": Column("name", "UTC"),
        "finished": Column("name", "UTC"),
        "cases": Column("whole", "clips asked for"),
        "failed_cases": Column("whole", "clips that could not be made"),
        "failed_metrics": Column("whole", "metrics that could not be computed"),
        "hardware": Column("nested", "as in run.json"),
        "software": Column("nested", "as in run.json"),
    },
    "samples": {
        **_RUN,
        "id": Column("name", "of the case"),
        "prompt_id": Column("name", "of the prompt: the unit of every test"),
        "prompt": Column("text", "what was asked for"),
        "tags": Column("nested", "list of the prompt's tags"),
        **_SIZE,
        "fps": Column("real", "frames a second"),
        "seed": Column("whole", "of the suite"),
        "status": Column("text", "ok or error"),
        "error": Column("text", "why there is no clip"),
        "clip": Column("text", "its file, relative to the run folder where it lies in there"),
        "sha256": Column("name", "of the frames"),
        "seconds": Column("nested", "stage: seconds"),
        "peak_bytes": Column("whole", "the most memory held so far"),
    },
    "scores": {
        **_RUN,
        "id": Column("name", "of the case"),
        "prompt_id": Column("name", "of its prompt"),
        "tags": Column("nested", "list of its prompt's tags"),
        "shape": _SIZE["shape"],
        "frames": _SIZE["frames"],
        "family": Column("text", "distribution, text, temporal, physics or speed"),
        "metric": Column("name", "output of a per-clip metric"),
        "value": Column("real", "NaN where there is none"),
        "status": Column("text", "ok, undefined or error"),
        "reason": Column("text", "why there is no value"),
        "detail": Column("nested", "broken frames, fits, counts"),
        "signature": Column("text", "the protocol"),
    },
    "metrics": {
        **_RUN,
        "family": Column("text", "distribution, text, temporal, physics or speed"),
        "metric": Column("name", "its output"),
        "slice": Column("name", "all, or a shape"),
        "width": _SIZE["width"],
        "height": _SIZE["height"],
        "frames": _SIZE["frames"],
        "value": Column("real", "NaN where there is none"),
        "low": Column("real", "lower end of the 95 % interval; of speed, the 10 % quantile"),
        "high": Column("real", "upper end; of speed, the 90 % quantile"),
        "n_expected": Column("whole", "clips (of speed, repeats) asked for"),
        "n_scored": Column("whole", "clips (repeats) with a value"),
        "status": Column("text", "ok, undefined or error"),
        "reason": Column("text", "why there is no value, or what stands behind it"),
        "method": Column("text", "of the interval"),
        "unit": Column("text", "of value, low and high"),
        "higher_is_better": Column("flag", "NA: neither end is better"),
        "signature": Column("text", "the protocol"),
    },
    "timings": {
        **_RUN,
        "id": Column("name", "what was timed"),
        "width": _SIZE["width"],
        "height": _SIZE["height"],
        "frames": _SIZE["frames"],
        "stage": Column("name", "first, whole, or a stage of the generator; failed"),
        "repeat": Column("whole", "from 0"),
        "seconds": Column("real", "wall time; NaN of a failed shape"),
        "bytes": Column("whole", "peak memory so far"),
        "tokens": Column("whole", "of the clip, where the generator counts them"),
        "reason": Column("text", "why a shape failed"),
    },
    "attribution": {
        **_RUN,
        "id": Column("name", "of the case"),
        "prompt_id": Column("name", "of its prompt"),
        "prompt": Column("text", "what was asked for"),
        "tags": Column("nested", "list of its prompt's tags"),
        "shape": _SIZE["shape"],
        "frames": _SIZE["frames"],
        "metric": Column("name", "fvd or kvd"),
        "value": Column("real", "how much the distance falls when the clip leaves, in its unit"),
        "rank": Column("whole", "1 is the most costly clip of the run"),
        "signature": Column("text", "the protocol"),
    },
}


@dataclass(frozen=True)
class Frames:
    """All tables of one or many runs; their first columns, with fixed dtypes, are those of `SCHEMA`."""

    runs: pd.DataFrame
    samples: pd.DataFrame
    scores: pd.DataFrame
    metrics: pd.DataFrame
    timings: pd.DataFrame
    attribution: pd.DataFrame


def schema() -> pd.DataFrame:
    """The documented columns: table, column, dtype, meaning."""
    rows = [(t, name, c.dtype, c.about) for t, columns in SCHEMA.items() for name, c in columns.items()]
    return pd.DataFrame(rows, columns=["table", "column", "dtype", "meaning"])


def load(paths: Sequence[Path | str | RunFolder]) -> Frames:
    """Read runs into frames. Raises RunError for a folder that is no run."""
    runs = [p if isinstance(p, RunFolder) else RunFolder.open(Path(p)) for p in paths]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMA}
    for run in runs:
        head = {"run": run.path.name, "label": label_of(run)}
        rows["runs"].append(head | _head(run.head))
        samples = {r["id"]: {"shape": _shape_of(r), "tags": [], **r} for r in run.rows("samples")}
        rows["samples"] += [head | r for r in samples.values()]
        for r in run.rows("scores"):
            sample = samples.get(r["id"], {})
            known = {k: sample.get(k) for k in ("prompt_id", "tags", "shape", "frames")}
            rows["scores"].append(head | known | {"family": family(r["metric"])} | r)
        rows["metrics"] += [head | {"family": family(r["metric"])} | _size(r["slice"]) | r for r in run.rows("metrics")]
        rows["timings"] += [head | _size(r["id"]) | r for r in run.rows("timings")]
        for r in run.rows("attribution"):
            sample = samples.get(r["id"], {})
            known = {k: sample.get(k) for k in ("prompt_id", "prompt", "tags", "shape", "frames")}
            rows["attribution"].append(head | known | r)
    return Frames(*(typed(rows[name], columns) for name, columns in SCHEMA.items()))


def family(metric: str) -> str:
    """The family of a metric's output; what no metric of the registry gives is speed."""
    info = REGISTRY.get(metric.partition(".")[0])
    return info.family if info else "speed"


def steps_of(generator: dict[str, Any]) -> int | None:
    """Training steps: what the run recorded, else the last number of two digits or more in the checkpoint's name."""
    if generator.get("steps") is not None:
        return int(generator["steps"])
    numbers = re.findall(r"\d{2,}", str(generator.get("checkpoint") or ""))
    return int(numbers[-1]) if numbers else None


def typed(rows: list[dict[str, Any]], columns: dict[str, Column]) -> pd.DataFrame:
    """Rows as a frame with the declared columns first, in their dtypes; nested values stay as they are."""
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*columns, *(c for c in frame.columns if c not in columns)])
    for name, column in columns.items():
        values = frame[name]
        if column.kind == "nested":
            frame[name] = values.astype(object).where(values.notna(), None)
        elif column.kind == "whole":
            frame[name] = pd.to_numeric(values).astype("Int64")
        else:
            frame[name] = (values.fillna("") if column.kind == "text" else values).astype(column.dtype)  # type: ignore[call-overload]
    return frame


def _head(head: dict[str, Any]) -> dict[str, Any]:
    generator, git = head["generator"], head["git"]
    return {
        **{k: head.get(k) for k in ("status", "partial", "started", "finished", "cases", "failed_cases", "failed_metrics")},
        **{k: head.get(k) for k in ("hardware", "software")},
        "suite": head["suite"]["id"],
        "suite_fingerprint": head["suite"]["fingerprint"],
        "generator": generator["name"],
        "checkpoint": generator["checkpoint"],
        "steps": steps_of(generator),
        "fingerprint": generator["fingerprint"],
        "commit": git["commit"],
        "dirty": git["dirty"],
        "cpu": head["hardware"]["cpu"],
    }


def _shape_of(row: dict[str, Any]) -> str:
    sizes = [row.get(k) for k in ("width", "height", "frames")]
    return "x".join(map(str, sizes)) if None not in sizes else ""


def _size(name: str) -> dict[str, Any]:
    """Sizes read from a shape; none where the name is no shape. What follows the shape (a batch) does not matter here."""
    found = _SHAPE.match(name)
    return dict(zip(("width", "height", "frames"), map(int, found.groups()), strict=True)) if found else {}
