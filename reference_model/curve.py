"""A figure over training: the averaged weights of a training that is still going on, exported and judged like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from reference_model.config import load_config
from reference_model.export import export_snapshot
from reference_model.report import ROWS, judged

LIMIT = 60  # clips: a look, not a measurement


def add_point(folder: Path, limit: int = LIMIT) -> dict[str, Any]:
    """Judge the last state on disk of the training in `folder` and append a row to its `curve.jsonl`."""
    work = folder / "snapshots"
    step = export_snapshot(load_config(folder / "config.json"), folder, work)
    values = judged("world", f"reference:{work / 'now'}", work / "run", limit)
    row: dict[str, Any] = {"step": step, "tokens": tokens_until(folder, step), "clips": values["clips"]}
    row |= {name: round(values[name], 4) for name in ROWS if values.get(name) is not None}
    with (folder / "curve.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row


def tokens_until(folder: Path, step: int) -> int:
    """Tokens that the DiT was trained on in its first `step` steps, from its log."""
    rows = [json.loads(line) for line in (folder / "dit.jsonl").read_text().splitlines()]
    return round(float(np.mean([r["tokens"] for r in rows if r["step"] <= step] or [0.0])) * step)
