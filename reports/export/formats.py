"""The formats of `sora-eval export` by name: a new one is a function from what a run publishes to files, and a line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sora_eval.util.errors import RunError, near
from sora_eval_reports.export import every_eval_ever, hub, vbench
from sora_eval_reports.export.published import Published
from sora_eval_reports.export.trackers import to_wandb
from sora_eval_reports.text import tables


def _write_csv(published: Published, folder: Path) -> list[Path]:
    """Every table as `TABLE.csv`."""
    return [path for path in tables.write_files(published.source.frames, folder) if path.suffix == ".csv"]


def _log_in_wandb(published: Published, folder: Path) -> list[Path | str]:
    """A run of Weights & Biases, in the project and entity that its own variables WANDB_PROJECT and WANDB_ENTITY name."""
    entity, project = os.environ.get("WANDB_ENTITY", ""), os.environ.get("WANDB_PROJECT", "sora_eval")
    return [*to_wandb(published.source, f"{entity}/{project}" if entity else project)]


EXPORTS: dict[str, Callable[[Published, Path], Sequence[Path | str]]] = {
    "csv": _write_csv,
    "every-eval-ever": every_eval_ever.write,
    "hub-results": hub.write_results,
    "model-index": hub.write_model_index,
    "vbench-json": vbench.write,
    "wandb": _log_in_wandb,
}


def export(published: Published, to: str, folder: Path) -> Sequence[Path | str]:
    """Write a run in a format into a folder; returns the files, or where else it is.

    Raises RunError for an unknown format, and OSError.
    """
    if to not in EXPORTS:
        raise RunError(f"--to {to!r} is not known{near(to, list(EXPORTS))}")
    folder.mkdir(parents=True, exist_ok=True)
    return EXPORTS[to](published, folder)
