"""The joint verdict of a trade: at least so much faster, and no worse than the limits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import SEVERITY, GateRow, Verdict
from sora_eval.suite.tables import Tradeoff

NAME = "tradeoff"


def tradeoff_row(rows: Sequence[GateRow], spec: Tradeoff) -> GateRow:
    """The row of `[gates.tradeoff]`, from the rows of a gate, which hold those of its speed metric and of quality.

    PASS if of every row of the speed metric the one-sided bound of the gain is past `faster` per cent of the baseline, and all
    rows of quality are green: an intersection-union test at the level of its parts (Berger 1982), which needs no correction.
    Else INCONCLUSIVE, or the verdict of a speed row that has no number: what is not faster is no regression, but no trade.
    """
    speed = [r for r in rows if r.metric == spec.metric and not r.window and spec.slice in ("all", r.slice)]
    quality = [r for r in rows if not is_speed(r.metric)]
    limit = f"{spec.metric} better by {spec.faster:g} %"
    row = GateRow(NAME, spec.slice, Verdict.INCONCLUSIVE, "", limit, 0.0)
    if not speed or not quality:
        lacking = f"no row of {spec.metric}" if not speed else "no row of quality"
        return replace(row, verdict=Verdict.MISSING, reason=f"the gate has {lacking} to judge the trade by")
    gains = [_gain(r) for r in speed]
    without = [r for r, gain in zip(speed, gains, strict=True) if gain is None]
    if without:
        worst = min(without, key=lambda r: SEVERITY.index(r.verdict))
        verdict = Verdict.INCONCLUSIVE if worst.verdict.green or worst.verdict is Verdict.REGRESSED else worst.verdict
        return replace(row, verdict=verdict, reason=f"{worst.name} has no bound of its gain: {worst.reason}")
    least, most, slowest = min(
        ((*gain, r) for gain, r in zip(gains, speed, strict=True) if gain is not None), key=lambda g: g[0]
    )
    row = replace(
        row,
        base=slowest.base,
        new=slowest.new,
        change=slowest.change,
        change_percent=slowest.change_percent,
        bound_low=slowest.bound_low,
        bound_high=slowest.bound_high,
        n=slowest.n,
        unit=slowest.unit,
        higher_is_better=slowest.higher_is_better,
        method=slowest.method,
    )
    where = "" if len(speed) == 1 and spec.slice != "all" else f" ({slowest.slice})"
    gain = f"the gain of {spec.metric}{where} is at least {least:.3g} %"
    if least < spec.faster:
        size = "less than" if most < spec.faster else "not surely"
        return replace(row, reason=f"{gain} and at most {most:.3g} %: {size} the {spec.faster:g} % asked for")
    if open_rows := [r for r in quality if not r.verdict.green]:
        names = ", ".join(f"{r.name} {r.verdict}" for r in open_rows)
        return replace(row, reason=f"{gain}, but not every row of quality is inside its limits: {names}")
    return replace(row, verdict=Verdict.PASS, reason=f"{gain}, and every row of quality is inside its limits")


def _gain(row: GateRow) -> tuple[float, float] | None:
    """Both one-sided bounds of the change for the better, in per cent of the baseline's value; None without bounds."""
    if not row.base or row.bound_low is None or row.bound_high is None or row.higher_is_better is None:
        return None
    ends = (row.bound_low, row.bound_high) if row.higher_is_better else (-row.bound_high, -row.bound_low)
    return 100 * ends[0] / abs(row.base), 100 * ends[1] / abs(row.base)
