"""The formats of `sora-eval export` by name: a new one is a function from what a run publishes to files, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sora_eval.util.errors import RunError, near
from sora_eval_reports.export import every_eval_ever, hub, vbench
from sora_eval_reports.export.published import Published
from sora_eval_reports.text import tables


def _write_csv(published: Published, folder: Path) -> list[Path]:
    """Every table as `TABLE.csv`."""
    return [path for path in tables.write_files(published.source.frames, folder) if path.suffix == ".csv"]


EXPORTS: dict[str, Callable[[Published, Path], list[Path]]] = {
    "csv": _write_csv,
    "every-eval-ever": every_eval_ever.write,
    "hub-results": hub.write_results,
    "model-index": hub.write_model_index,
    "vbench-json": vbench.write,
}


def export(published: Published, to: str, folder: Path) -> list[Path]:
    """Write a run in a format into a folder; returns the files. Raises RunError for an unknown format, OSError."""
    if to not in EXPORTS:
        raise RunError(f"--to {to!r} is not known{near(to, list(EXPORTS))}")
    folder.mkdir(parents=True, exist_ok=True)
    return EXPORTS[to](published, folder)
