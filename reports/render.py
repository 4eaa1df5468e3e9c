"""Files that a run's report consists of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports import frames, plots, tables
from sora_eval.compare import Comparison, compare, label_of
from sora_eval.runs import RunFolder


def comparisons(runs: Sequence[RunFolder]) -> list[Comparison]:
    """The first run against each of the others."""
    return [compare(runs[0], other) for other in runs[1:]]


def write_report(runs: Sequence[RunFolder], folder: Path, clips: int = 12) -> list[Path]:
    """`report.md`, all frames as CSV and parquet, and `clips.png`; returns the files."""
    data = frames.load(runs)
    files = tables.write_files(data, folder)
    heads = ", ".join(f"`{label_of(r)}` ({r.path.name})" for r in runs)
    parts = [f"# {runs[0].head['suite']['id']}: {heads}", tables.markdown(tables.metrics_table(data))]
    for comparison in comparisons(runs):
        parts += [f"## {comparison.base} against {comparison.new}", *(f"- {w}" for w in comparison.warnings),
                  tables.markdown(tables.comparison_table(comparison))]  # fmt: skip
    (folder / "report.md").write_text("\n\n".join(parts) + "\n")
    files.append(folder / "report.md")
    if not data.samples.empty:
        plots.contact_sheet(runs, folder / "clips.png", clips)
        files.append(folder / "clips.png")
    return files
