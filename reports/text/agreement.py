"""Votes as tables: the voters, the metrics' agreement with them, strengths, and differences corrected by votes."""

from __future__ import annotations

import pandas as pd

from sora_eval.stats.intervals import Interval
from sora_eval.util.visible import say
from sora_eval.votes.agreement import Agreement, Share
from sora_eval_reports.numbers import number
from sora_eval_reports.text.console import console
from sora_eval_reports.text.tables import terminal


def _per_cent(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{100 * low:.0f} .. {100 * high:.0f}"


def _ends(interval: Interval, digits: int = 2) -> str:
    return (
        "-" if interval.low is None or interval.high is None else f"{interval.low:+.{digits}f} .. {interval.high:+.{digits}f}"
    )


def voters_table(result: Agreement) -> pd.DataFrame:
    """What the votes are like, whatever they are about: a voter who prefers a side shows here."""

    def row(what: str, share: Share | None) -> dict[str, str]:
        if share is None:
            return {"votes": what, "%": "-", "95 % interval": "-", "n": "0"}
        ends = _per_cent(share.interval.low, share.interval.high)
        return {"votes": what, "%": f"{100 * share.value:.0f}", "95 % interval": ends, "n": str(share.n)}

    return pd.DataFrame(
        [
            row("for the left, of those that decide (50: no side is preferred)", result.left),
            row("that agree with another voter's on the same pair", result.voters),
        ]
    )


def metrics_table(result: Agreement) -> pd.DataFrame:
    """One row per metric, best first; those without a share last, with the reason."""
    rows = sorted(result.metrics, key=lambda m: -m.share.value if m.share else 1.0)
    return pd.DataFrame(
        [
            {
                "metric": m.metric,
                "agrees %": f"{100 * m.share.value:.0f}" if m.share else "-",
                "95 % interval": _per_cent(m.share.interval.low, m.share.interval.high) if m.share else "-",
                "votes": str(m.share.n) if m.share else "0",
                "cannot tell": str(m.undecided) if m.share else "",
                "note": m.reason,
            }
            for m in rows
        ]
    )


def strengths_table(result: Agreement) -> pd.DataFrame:
    """One row per run, strongest first, then the side."""
    assert result.strengths is not None
    s = result.strengths
    rows = sorted(zip(result.runs, s.values, s.intervals, strict=True), key=lambda row: -row[1])
    lines = [{"run": run, "strength": f"{value:+.2f}", "95 % interval": _ends(interval)} for run, value, interval in rows]
    return pd.DataFrame(
        [*lines, {"run": "(the left side)", "strength": f"{s.side:+.2f}", "95 % interval": _ends(s.side_interval)}]
    )


def corrected_table(result: Agreement) -> pd.DataFrame:
    """One row per pair of runs and metric."""
    return pd.DataFrame(
        [
            {
                "new against base": f"{c.new} against {c.base}",
                "metric": c.metric,
                "change": number(c.change),
                "cases": f"{c.voted}/{c.cases}",
                "votes alone": f"{c.preference.alone:+.2f} ({_ends(c.preference.alone_interval)})",
                "votes and metric": f"{c.preference.value:+.2f} ({_ends(c.preference.interval)})",
            }
            for c in result.corrected
        ]
    )


def print_agreement(result: Agreement) -> None:
    """Print the tables."""
    ties = f"{result.votes} votes of {result.voter_count} voters, {result.ties} ties"
    say(ties + (f"; {result.foreign} votes are on other runs" if result.foreign else ""))
    out = console()
    out.print(terminal(voters_table(result), "the votes"))
    out.print(terminal(metrics_table(result), "metrics: how often their preference is that of the voters"))
    if result.strengths is None:
        say(f"no strengths: {result.no_strengths}")
    else:
        out.print(terminal(strengths_table(result), "strengths (Bradley-Terry)"))
        say("a difference d is odds of exp(d) to win")
    if result.corrected:
        out.print(terminal(corrected_table(result), "mean vote for the new run, -1 to 1, over all cases (prediction-powered)"))
