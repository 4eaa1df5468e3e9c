"""Runs as tidy pandas frames: one row an observation, one column a variable, every run in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sora_eval.compare import label_of
from sora_eval.runs import RunFolder, Table

# The columns that every table starts with, whatever the run holds.
SCHEMA: dict[str, list[str]] = {
    "runs": [
        "run",
        "label",
        "suite",
        "status",
        "partial",
        "generator",
        "checkpoint",
        "fingerprint",
        "commit",
        "cpu",
        "started",
        "finished",
        "cases",
        "failed_cases",
    ],
    "samples": [
        "run",
        "label",
        "id",
        "prompt_id",
        "prompt",
        "width",
        "height",
        "frames",
        "fps",
        "seed",
        "status",
        "error",
        "clip",
        "sha256",
        "peak_bytes",
    ],
    "scores": ["run", "label", "id", "metric", "value", "status", "reason", "signature"],
    "metrics": [
        "run",
        "label",
        "metric",
        "slice",
        "value",
        "low",
        "high",
        "n_expected",
        "n_scored",
        "status",
        "reason",
        "method",
        "unit",
        "higher_is_better",
        "signature",
    ],
    "timings": ["run", "label", "id", "stage", "repeat", "seconds", "bytes", "tokens"],
}


@dataclass(frozen=True)
class Frames:
    """All tables of one or many runs; their first columns are those of `SCHEMA`."""

    runs: pd.DataFrame
    samples: pd.DataFrame
    scores: pd.DataFrame
    metrics: pd.DataFrame
    timings: pd.DataFrame


def load(paths: Sequence[Path | RunFolder]) -> Frames:
    """Read runs into frames. Raises RunError for a folder that is no run."""
    runs = [p if isinstance(p, RunFolder) else RunFolder.open(Path(p)) for p in paths]
    heads = []
    for run in runs:
        h = run.head
        heads.append(
            {
                "run": run.path.name,
                "label": label_of(run),
                "suite": h["suite"]["id"],
                "status": h["status"],
                "partial": h["partial"],
                "generator": h["generator"]["name"],
                "checkpoint": h["generator"]["checkpoint"],
                "fingerprint": h["generator"]["fingerprint"],
                "commit": h["git"]["commit"],
                "cpu": h["hardware"]["cpu"],
                "started": h["started"],
                "finished": h["finished"],
                "cases": h.get("cases"),
                "failed_cases": h.get("failed_cases"),
            }
        )
    return Frames(
        pd.DataFrame(heads, columns=SCHEMA["runs"]),
        *(_table(runs, name) for name in ("samples", "scores", "metrics", "timings")),
    )


def _table(runs: list[RunFolder], name: Table) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {"run": run.path.name, "label": label_of(run), **row} for run in runs for row in run.rows(name)
    ]
    frame = pd.DataFrame(rows)
    first = SCHEMA[name]
    return frame.reindex(columns=[*first, *(c for c in frame.columns if c not in first)])
