"""Runs as tidy pandas frames: one row per observation, one column per variable, all runs in one table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sora_eval.compare.comparison import Comparison, note_of, outcome
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import AttributionRow, MetricRow, Row, SampleRow, ScoreRow, TimingRow

_SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)")


class Column(NamedTuple):
    """A column's kind and meaning. Kinds: text ("" for none), name (NA for none), whole, real, flag, nested (lists and
    tables, unchanged)."""

    kind: str
    about: str

    @property
    def dtype(self) -> str:
        """The pandas dtype of the kind."""
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

# The first columns of every table, whatever the run holds. Further columns follow as the rows have them.
SCHEMA: dict[str, dict[str, Column]] = {
    "runs": {
        **_RUN,
        "suite": Column("name", "id of the suite"),
        "suite_fingerprint": Column("name", "equal where the same was asked"),
        "status": Column("text", "started, success, error or cancelled"),
        "partial": Column("flag", "made with --limit"),
        "generator": Column("name", "its name"),
        "checkpoint": Column("name", "its checkpoint"),
        "training_steps": Column("whole", "of the checkpoint, where it records them"),
        "fingerprint": Column("name", "hash of what is known of weights and settings"),
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
        "prompt_id": Column("name", "of the prompt; cases of one id, or of equal prompt text, are one unit of every test"),
        "prompt": Column("text", "what was asked for"),
        "tags": Column("nested", "list of the prompt's tags"),
        **_SIZE,
        "fps": Column("real", "frames per second"),
        "seed": Column("whole", "of the suite"),
        "status": Column("text", "ok or error"),
        "error": Column("text", "why there is no clip"),
        "clip": Column("text", "its file, relative to the run folder where it lies in there"),
        "sha256": Column("name", "of the frames"),
        "seconds": Column("nested", "stage: seconds"),
        "peak_bytes": Column("whole", "the most memory held so far"),
        "notes": Column("nested", "list of what was assumed where the clip's file left something open"),
    },
    "scores": {
        **_RUN,
        "id": Column("name", "of the case"),
        "prompt_id": Column("name", "of its prompt"),
        "tags": Column("nested", "list of its prompt's tags"),
        "shape": _SIZE["shape"],
        "frames": _SIZE["frames"],
        "family": Column("text", "distribution, text, temporal, physics, picture, speed, or a metric's own"),
        "metric": Column("name", "output of a per-clip metric"),
        "value": Column("real", "NaN where there is none"),
        "status": Column("text", "ok, undefined or error"),
        "reason": Column("text", "why there is no value"),
        "detail": Column("nested", "broken frames, fits, counts"),
        "signature": Column("text", "the protocol"),
    },
    "metrics": {
        **_RUN,
        "family": Column("text", "distribution, text, temporal, physics, picture, speed, or a metric's own"),
        "metric": Column("name", "its output"),
        "slice": Column("name", "all, a shape, or oracle:GENERATOR"),
        "width": _SIZE["width"],
        "height": _SIZE["height"],
        "frames": _SIZE["frames"],
        "value": Column("real", "NaN where there is none"),
        "low": Column("real", "lower end of the 95 % interval; of a sweep of speed, the 10 % quantile"),
        "high": Column("real", "upper end; of a sweep of speed, the 90 % quantile"),
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
        "stage": Column("name", "first, whole, or a stage of the generator; warmup (of an open loop), failed"),
        "repeat": Column("whole", "from 0"),
        "seconds": Column("real", "wall time, of an open loop from the scheduled arrival; NaN of what failed"),
        "bytes": Column("whole", "peak memory so far"),
        "tokens": Column("whole", "of the clip, where the generator counts them"),
        "reason": Column("text", "why a shape or a request failed"),
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
        head = {"run": run.name, "label": run.head.generator.label}
        rows["runs"].append(head | _head(run.head))
        samples = {r.id: r for r in run.rows(SampleRow)}
        families = {r.metric: r.family for r in run.rows(MetricRow)}
        rows["samples"] += [head | {"shape": r.shape} | _plain(r) for r in samples.values()]
        rows["scores"] += [
            head | _facts(samples.get(r.id)) | {"family": families.get(r.metric, "")} | _plain(r) for r in run.rows(ScoreRow)
        ]
        rows["metrics"] += [head | _size(r.slice) | _plain(r) for r in run.rows(MetricRow)]
        rows["timings"] += [head | _size(r.id) | _plain(r) | _length(r) for r in run.rows(TimingRow)]
        for a in run.rows(AttributionRow):
            sample = samples.get(a.id)
            rows["attribution"].append(head | _facts(sample) | {"prompt": sample.prompt if sample else ""} | _plain(a))
    return Frames(*(to_frame(rows[name], columns) for name, columns in SCHEMA.items()))


def with_rows(frames: Frames, rows: Sequence[MetricRow]) -> Frames:
    """The frames of one run with further rows of metrics, such as those of other programs."""
    if not rows:
        return frames
    run = {name: frames.runs[name].iloc[0] for name in _RUN}
    more = to_frame([run | _size(row.slice) | _plain(row) for row in rows], SCHEMA["metrics"])
    return replace(frames, metrics=pd.concat([frames.metrics, more], ignore_index=True))


def _plain(row: Row) -> dict[str, Any]:
    """A row as plain data: tuples as lists, nested records as tables."""
    return row.model_dump(mode="json")


def _facts(sample: SampleRow | None) -> dict[str, Any]:
    """The columns of its sample that the rows of a case carry."""
    if sample is None:
        return {"prompt_id": None, "tags": None, "shape": None, "frames": None}
    return {"prompt_id": sample.prompt_id, "tags": list(sample.tags), "shape": sample.shape, "frames": sample.frames}


def to_frame(rows: list[dict[str, Any]], columns: dict[str, Column]) -> pd.DataFrame:
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


def _head(head: RunHead) -> dict[str, Any]:
    flat = ("status", "partial", "started", "finished", "cases", "failed_cases", "failed_metrics", "hardware", "software")
    return {
        **{name: getattr(head, name) for name in flat},
        "suite": head.suite.id,
        "suite_fingerprint": head.suite.fingerprint,
        "generator": head.generator.name,
        "checkpoint": head.generator.checkpoint,
        "training_steps": head.generator.training_steps,
        "fingerprint": head.generator.fingerprint,
        "commit": head.git.commit,
        "dirty": head.git.dirty,
        "cpu": head.hardware.get("cpu"),
    }


def _size(name: str) -> dict[str, Any]:
    """Sizes of a name that starts with a shape `WxHxT`; none of other names."""
    match = _SHAPE.match(name)
    return dict(zip(("width", "height", "frames"), map(int, match.groups()), strict=True)) if match else {}


def _length(row: TimingRow) -> dict[str, Any]:
    """The length of a single clip; a batch or a mixed list has none."""
    sizes = _size(row.id)
    return {"frames": sizes.get("frames")}


COMPARISON = {
    "metric": Column("name", "its output"),
    "slice": Column("name", "all, a shape, a length or a tag"),
    "family": Column("text", "of the metric"),
    "base": Column("real", "value of the base, on the cases that both scored"),
    "new": Column("real", "value of the new run"),
    "change": Column("real", "new - base"),
    "change_percent": Column("real", "of the base"),
    "low": Column("real", "lower end of the interval of the change"),
    "high": Column("real", "upper end"),
    "p": Column("real", "of no change"),
    "n": Column("whole", "cases, or repeats of speed"),
    "better": Column("text", "base or new where the change is beyond noise; of a paired metric, whether the clips differ"),
    "unit": Column("text", "of base, new and change"),
    "method": Column("text", "of the interval"),
    "note": Column("text", "what stands behind the row, or why there is no change"),
    "status": Column("text", "ok, or the verdict that stands where no change can be said"),
}


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """A comparison as a frame, one row per metric and slice; its columns are those of `COMPARISON`."""
    rows = [
        {
            "metric": d.metric,
            "slice": d.slice,
            "family": d.family,
            "base": d.base,
            "new": d.new,
            "change": d.change,
            "change_percent": d.change_percent,
            "low": d.interval.low,
            "high": d.interval.high,
            "p": d.p,
            "n": d.n,
            "better": outcome(d) or None,
            "unit": d.unit,
            "method": d.interval.method,
            "note": note_of(d),
            "status": "ok" if d.status is None else str(d.status),
        }
        for d in comparison.rows
    ]
    return to_frame(rows, COMPARISON)
