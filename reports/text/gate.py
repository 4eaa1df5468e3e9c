"""A gate's result in the terminal and as Markdown for a job summary: all rows, worst first."""

from __future__ import annotations

import pandas as pd

from sora_eval.records.verdict import SEVERITY, GateResult, GateRow
from sora_eval.util.visible import say
from sora_eval_reports.numbers import interval, number
from sora_eval_reports.text import tables
from sora_eval_reports.text.console import console


def worst_first(result: GateResult) -> list[GateRow]:
    """The rows by severity of their verdicts."""
    return sorted(result.rows, key=lambda r: SEVERITY.index(r.verdict))


def verdict_table(result: GateResult) -> pd.DataFrame:
    """One row per gate, as strings; the reasons are in `verdict_notes`."""
    rows = [
        {
            "metric": r.name,
            "base": number(r.base),
            "new": number(r.new),
            "change %": "-" if r.change_percent is None else f"{r.change_percent:+.3g}",
            "limit": r.limit + (f", least change {r.min_change:g}" if r.min_change else ""),
            result.interval_name: interval(r.low, r.high),
            "p (Holm)": number(r.p_adjusted),
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


def print_gate(result: GateResult) -> None:
    """Print the table, the reasons, and the verdict as the last line of standard output."""
    out = console()
    out.print(tables.terminal(verdict_table(result), sides(result)), "")
    for note in verdict_notes(result):
        out.print(note, soft_wrap=True)
    say(result.headline)


def gate_markdown(result: GateResult) -> str:
    """Verdict, table and reasons as Markdown."""
    notes = "\n".join(f"- {tables.escape(n)}" for n in verdict_notes(result))
    parts = [
        f"## {tables.escape(result.headline)}",
        tables.escape(sides(result)),
        tables.markdown(verdict_table(result)),
        f"<details><summary>Why</summary>\n\n{notes}\n\n</details>",
    ]
    return "\n\n".join(parts) + "\n"
