"""A gate's result in the terminal and as Markdown for a job summary: all rows, worst first."""

from __future__ import annotations

import pandas as pd

from sora_eval.records.verdict import GateResult
from sora_eval.runs.folder import RunFolder
from sora_eval.util.terminal import is_wide
from sora_eval_reports.answer.verdict import of_gate, worst_first
from sora_eval_reports.numbers import interval, number
from sora_eval_reports.text import tables
from sora_eval_reports.text.answer import answer_markdown, answered
from sora_eval_reports.text.console import console, line, notes

SHORT_DIGITS, DIGITS = 3, 4  # of numbers in tables of the terminal, and of wide ones


def verdict_table(result: GateResult, digits: int = 4) -> pd.DataFrame:
    """One row per gate, as strings; the reasons are in `verdict_notes`."""
    rows = [
        {
            "metric": r.name,
            "base": number(r.base, digits),
            "new": number(r.new, digits),
            "change %": "-" if r.change_percent is None else f"{r.change_percent:+.3g}",
            "limit": r.limit,
            "least change": f"{r.min_change:g}" if r.min_change else "-",
            result.interval_name: interval(r.low, r.high, digits),
            "p (Holm)": number(r.p_adjusted, min(digits, 4 if digits > 3 else 2)),
            "n": str(r.n),
            "verdict": str(r.verdict),
        }
        for r in worst_first(result)
    ]
    return pd.DataFrame(rows)


def verdict_notes(result: GateResult) -> list[str]:
    """The reasons of the verdicts; gates that share a reason share a line."""
    shared: dict[tuple[str, str], list[str]] = {}
    for row in worst_first(result):
        seeds = f" ({row.seeds})" if row.seeds else ""
        shared.setdefault((row.verdict, row.reason + seeds), []).append(row.name)
    return [f"{', '.join(names)}: {verdict}: {reason}" for (verdict, reason), names in shared.items()]


def sides(result: GateResult) -> str:
    """`reference:base (run) against reference:base (baseline baselines/quick.json): same weights, same seeds`."""
    base = result.baseline
    against = f"{base['label']} ({base['kind']} {base['path']})" if base else "no baseline"
    situation = f": {result.situation}" if result.situation else ""
    return f"{result.run['label']} ({result.run['run']}) against {against}{situation}"


def print_gate(result: GateResult, run: RunFolder | None = None, *, all_notes: bool = False) -> None:
    """Print the answer, with the clips of its `run` that carry it, the table, the reasons, and the verdict as the last line.

    Without `all_notes`, the reasons take five lines at most.
    """
    out = console()
    answered(out, of_gate(result, run))
    drop = ["n", "p (Holm)", "least change", result.interval_name, "base"]
    out.print(tables.terminal(verdict_table(result, SHORT_DIGITS if not is_wide() else DIGITS), sides(result), drop), "")
    path = "" if run is None or all_notes else f"sora-eval show {run.path} --notes"
    notes(out, verdict_notes(result), "", path)
    line(out, result.headline)


def gate_markdown(result: GateResult, run: RunFolder | None = None) -> str:
    """Verdict, answer, table and reasons as Markdown."""
    notes = "\n".join(f"- {tables.escape(n)}" for n in verdict_notes(result))
    parts = [
        f"## {tables.escape(result.headline)}",
        answer_markdown(of_gate(result, run)),
        tables.escape(sides(result)),
        tables.markdown(verdict_table(result)),
        f"<details><summary>Why</summary>\n\n{notes}\n\n</details>",
    ]
    return "\n\n".join(parts) + "\n"
