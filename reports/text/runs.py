"""The tables of one or several runs, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from sora_eval.compare.comparison import Comparison, compare
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow
from sora_eval_reports import frames
from sora_eval_reports.text import tables
from sora_eval_reports.text.console import console


def print_runs(runs: Sequence[RunFolder], beside: Sequence[MetricRow] = ()) -> None:
    """Print the tables of one run, `beside` it rows of other programs, or every further run against the first."""
    if len(runs) > 1:
        for other in runs[1:]:
            print_comparison(compare(runs[0], other))
        return
    out, data = console(), frames.with_rows(frames.load(runs), beside)
    head = runs[0].head
    layout = f"layout {head.generator.layout}" if head.generator.layout else ""
    title = ", ".join(filter(None, [f"{head.suite.id}: {head.generator.label}", layout, *head.changes]))
    quality, speed = tables.quality_table(data), tables.speed_table(data)
    if not quality.empty:
        out.print(tables.terminal(quality, title), "")
    if not speed.empty:
        out.print(tables.terminal(speed, f"{title}, speed (medians)"), "")
    for note in tables.notes(data):
        out.print(note, style="dim", soft_wrap=True)


def print_comparison(comparison: Comparison, slices: bool = False) -> None:
    """Print a comparison, its notes and, where clips were compared, its headline; with `slices` also one row per slice."""
    out = console()
    title = f"{comparison.base} against {comparison.new} (change = new - base)"
    out.print(tables.terminal(tables.comparison_table(comparison, slices), title), "")
    for note in tables.comparison_notes(comparison):
        out.print(note, style="yellow", soft_wrap=True)
    if comparison.headline:
        out.print(comparison.headline, style="bold", soft_wrap=True)


def comparison_markdown(comparison: Comparison, slices: bool = False) -> str:
    """A comparison and its notes as Markdown."""
    parts = [
        f"## {tables.escape(comparison.base)} against {tables.escape(comparison.new)}",
        f"**{tables.escape(comparison.headline)}**" if comparison.headline else "",
        tables.markdown(tables.comparison_table(comparison, slices)),
        "\n".join(f"- {tables.escape(n)}" for n in tables.comparison_notes(comparison)),
    ]
    return "\n\n".join(filter(None, parts))
