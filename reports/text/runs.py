"""The reports of one or many runs: printed, and as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports import frames
from reports.export import contact_sheet as plots
from reports.page import notices
from reports.page.rows import rows_of, verdict_line
from reports.source import Source
from reports.text import tables
from sora_eval.compare.comparison import Comparison, compare, label_of
from sora_eval.runs.folder import RunFolder


def print_runs(runs: Sequence[RunFolder]) -> None:
    """The end of `sora-eval run`: one run's tables, or every further run against the first."""
    if len(runs) > 1:
        for other in runs[1:]:
            print_comparison(compare(runs[0], other))
        return
    out, data = tables.console(), frames.load(runs)
    title = f"{runs[0].head['suite']['id']}: {label_of(runs[0])}"
    quality, speed = tables.quality_table(data), tables.speed_table(data)
    if not quality.empty:
        out.print(tables.terminal(quality, title), "")
    if not speed.empty:
        out.print(tables.terminal(speed, f"{title}, speed (medians)"), "")
    for note in tables.notes(data):
        out.print(note, style="dim", highlight=False, markup=False, soft_wrap=True)


def print_comparison(comparison: Comparison, slices: bool = False) -> None:
    """A comparison, and what limits it."""
    out = tables.console()
    title = f"{comparison.base} against {comparison.new} (change = new - base)"
    out.print(tables.terminal(tables.comparison_table(comparison, slices), title), "")
    for note in tables.comparison_notes(comparison):
        out.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)


def comparison_markdown(comparison: Comparison, slices: bool = False) -> str:
    """The same as Markdown."""
    parts = [
        f"## {comparison.base} against {comparison.new}",
        tables.markdown(tables.comparison_table(comparison, slices)),
        "\n".join(f"- {n}" for n in tables.comparison_notes(comparison)),
    ]
    return "\n\n".join(filter(None, parts))


def write_report(source: Source, folder: Path, clips: int = 12) -> list[Path]:
    """`report.md`, `report.html`, all frames as CSV and parquet, and `clips.png`; returns the files."""
    files = tables.write_files(source.frames, folder)
    (folder / "report.md").write_text(report_markdown(source))
    files.append(folder / "report.md")
    if any(run.rows("samples") for run in source.runs):
        plots.contact_sheet(source.runs, folder / "clips.png", clips)
        files.append(folder / "clips.png")
    return files


def report_markdown(source: Source) -> str:
    """The report of runs as Markdown: their values, what is missing, and every further run against the first."""
    data = source.frames
    heads = ", ".join(f"`{source.labels[r.path.name]}` ({r.path.name})" for r in source.runs)
    parts = [f"# {source.runs[0].head['suite']['id']}: {heads}" if source.runs else "# no run"]
    line = verdict_line(source, rows_of(source) if source.runs else [])
    parts.append(f"**{line['word']}**: {line['text']}")
    for title, table in (
        ("Quality", tables.quality_table(data)),
        ("Most costly clips", tables.costly_table(data)),
        ("Speed", tables.speed_table(data)),
        ("By shape", tables.quality_table(data, slices=True)),
    ):
        if not table.empty:
            parts += [f"## {title}", tables.markdown(table)]
    if missing := notices.missing(source):
        parts += ["## Missing, failed, unlike", "\n".join(f"- {m}" for m in missing)]
    if notes := tables.notes(data):
        parts += ["## Notes", "\n".join(f"- {n}" for n in notes)]
    parts += [comparison_markdown(comparison) for _, comparison in source.compared]
    return "\n\n".join(parts) + "\n"
