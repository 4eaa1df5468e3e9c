"""What the log of a DiT's training, `dit.jsonl`, says of all of it, however often it was stopped and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIT_LOG = "dit.jsonl"


def _rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / DIT_LOG
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line] if path.exists() else []


def tokens_until(folder: Path, step: int) -> int:
    """Tokens that the DiT was trained on in its first `step` steps; 0 without a log."""
    rows = _rows(folder)
    tokens = [row["tokens"] for row in rows if row["step"] <= step] or [row["tokens"] for row in rows[:1]]
    return round(sum(tokens) / len(tokens) * step) if tokens else 0


def train_seconds(folder: Path) -> float:
    """Seconds that the DiT was trained, over all its starts; 0 without a log."""
    total = last = 0.0
    for row in _rows(folder):
        if row["seconds"] < last:  # a start counts from nothing
            total += last
        last = float(row["seconds"])
    return total + last
