"""The tables of one or several runs, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from sora_eval.compare.comparison import Comparison, compare
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow
from sora_eval.util.terminal import is_wide
from sora_eval_reports import frames
from sora_eval_reports.answer.of_runs import of_pair, of_run, scale_behind
from sora_eval_reports.answer.statement import Answer
from sora_eval_reports.answer.two_runs import two_runs
from sora_eval_reports.text import tables
from sora_eval_reports.text.answer import answer_markdown, answered
from sora_eval_reports.text.console import console, notes

SHORT_DIGITS, DIGITS = 3, 4  # of numbers in tables of the terminal, and of wide ones


def digits() -> int:
    """Significant digits of numbers in the terminal."""
    return DIGITS if is_wide() else SHORT_DIGITS


def print_runs(runs: Sequence[RunFolder], beside: Sequence[MetricRow] = (), *, all_notes: bool = False) -> None:
    """Print the answer and the tables of one run, `beside` it rows of other programs, or every further run against the first.

    Without `all_notes`, notes take five lines at most.
    """
    if len(runs) > 1:
        for other in runs[1:]:
            command = "" if all_notes else f"sora-eval show {runs[0].path} {other.path} --notes"
            comparison = compare(runs[0], other)
            print_comparison(comparison, answer=of_pair(comparison, runs[0], other), all_notes=command)
        return
    run, out = runs[0], console()
    data, scale = frames.with_rows(frames.load(runs), beside), scale_behind(run)
    answered(out, of_run(run))
    head = run.head
    layout = f"layout {head.generator.layout}" if head.generator.layout else ""
    title = ", ".join(filter(None, [f"{head.suite.id}: {head.generator.label}", layout, *head.changes]))
    quality = tables.quality_table(data, scales={run.name: scale} if scale else None, digits=digits())
    speed = tables.speed_table(data)
    if not quality.empty:
        oracles = [c for c in quality.columns if str(c).startswith(tables.ORACLE)]
        out.print(tables.terminal(quality, title, [*oracles, "unit", "better", "n"]), "")
    if not speed.empty:
        out.print(tables.terminal(speed, f"{title}, speed (medians)", SPEED_IN_DETAIL), "")
    texts = tables.notes(data)
    if scale is None and not quality.empty:
        texts.insert(0, f"no scale is known behind these values; it is measured by: sora-eval scale {head.suite.id}")
    notes(out, texts, "dim", "" if all_notes else f"sora-eval show {run.path} --notes")


SPEED_IN_DETAIL = ("first s", "frames/s", "GFLOP", "share of peak %", "step s")  # left out where a table is too wide


def print_comparison(
    comparison: Comparison, slices: bool = False, *, answer: Answer | None = None, all_notes: str = ""
) -> None:
    """Print the `answer` of a comparison, its table and its notes; with `slices` also one row per slice.

    `all_notes` is the command that prints all notes, where they take five lines at most.
    """
    out, in_short = console(), not is_wide()
    answered(out, answer or two_runs(comparison))
    table = tables.comparison_table(comparison, slices, digits(), in_short=in_short)
    title = f"{comparison.base} against {comparison.new} (base, new, change = new - base)"
    out.print(tables.terminal(table, title, ["n", "p", "change"]), "")
    notes(out, tables.comparison_notes(comparison), "yellow", all_notes)


def comparison_markdown(comparison: Comparison, slices: bool = False, answer: Answer | None = None) -> str:
    """The answer of a comparison, its table and its notes as Markdown."""
    parts = [
        f"## {tables.escape(comparison.base)} against {tables.escape(comparison.new)}",
        answer_markdown(answer or two_runs(comparison)),
        tables.markdown(tables.comparison_table(comparison, slices)),
        "\n".join(f"- {tables.escape(n)}" for n in tables.comparison_notes(comparison)),
    ]
    return "\n\n".join(filter(None, parts))
