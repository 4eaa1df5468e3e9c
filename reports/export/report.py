"""The report of runs as files: Markdown, tables as CSV and parquet, a contact sheet."""

from __future__ import annotations

from pathlib import Path

from sora_eval.runs.rows import SampleRow
from sora_eval_reports.answer.of_runs import of_pair, of_source
from sora_eval_reports.export import contact_sheet as plots
from sora_eval_reports.page import notices
from sora_eval_reports.source import Source
from sora_eval_reports.text import tables
from sora_eval_reports.text.answer import answer_markdown
from sora_eval_reports.text.runs import comparison_markdown


def write_report(source: Source, folder: Path, clips: int = 12) -> list[Path]:
    """Write `report.md`, all frames as CSV and parquet, and `clips.png` with `clips` cases into a folder; returns the files."""
    files = tables.write_files(source.frames, folder)
    (folder / "report.md").write_text(report_markdown(source), encoding="utf-8")
    files.append(folder / "report.md")
    if any(run.rows(SampleRow) for run in source.runs):
        plots.contact_sheet(source.runs, folder / "clips.png", clips)
        files.append(folder / "clips.png")
    return files


def report_markdown(source: Source) -> str:
    """The report of runs as Markdown: values, notices of missing parts, and every further run against the first."""
    data = source.frames
    heads = ", ".join(f"{tables.code(source.labels[r.name])} ({tables.escape(r.name)})" for r in source.runs)
    parts = [f"# {source.runs[0].head.suite.id}: {heads}" if source.runs else "# no run"]
    parts.append(answer_markdown(of_source(source)))
    for title, table in (
        ("Quality", tables.quality_table(data)),
        ("Most costly clips", tables.costly_table(data)),
        ("Speed", tables.speed_table(data)),
        ("By shape", tables.quality_table(data, slices=True)),
    ):
        if not table.empty:
            parts += [f"## {title}", tables.markdown(table)]
    if missing := notices.missing(source):
        parts += ["## Missing, failed, unlike", "\n".join(f"- {tables.escape(m)}" for m in missing)]
    if notes := tables.notes(data):
        parts += ["## Notes", "\n".join(f"- {tables.escape(n)}" for n in notes)]
    for run, comparison in source.compared:
        parts.append(
            comparison_markdown(comparison, answer=of_pair(comparison, source.data[0], source.data[source.runs.index(run)]))
        )
    return "\n\n".join(parts) + "\n"
