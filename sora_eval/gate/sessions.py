"""Speed of two sessions: the noise between sessions belongs to the error of a change. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy import stats

from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import Verdict
from sora_eval.stats.intervals import Interval
from sora_eval.stats.power import ALPHA
from sora_eval.suite.tables import Sessions

COUNTED = ("flops",)  # by operations, not by a clock: the same in every session


def across_sessions(d: Difference, base: RunData, new: RunData, sessions: Sessions | None, alpha: float = ALPHA) -> Difference:
    """A difference of speed with the noise between sessions in its interval, bounds, error and p.

    Interleaved repeats of one session, other metrics and differences without a number stay as they are. The logarithm of the
    ratio of two sessions has the variance 2 `sessions.percent`^2, that of two sessions' medians, or that of the repeats where
    it is larger; the test is Student's t with `sessions.runs` - 1 degrees of freedom. Two sessions whose noise is not known
    decide nothing: their repeats are no sample of sessions.
    """
    if d.status is not None or not is_speed(d.metric) or d.metric in COUNTED or same_session(base, new):
        return d
    if d.base is None or d.new is None:
        return d
    if sessions is None:
        reason = (
            "two sessions, and the noise between sessions is not known: measure it with 'sora-eval history' of three or more "
            "runs on this machine and set `sessions` in the gate, or time both in one with 'sora-eval bench --against'"
        )
        return replace(d, status=Verdict.INCONCLUSIVE, reason=reason)
    if d.base <= 0 or d.new <= 0:
        return replace(d, status=Verdict.INCONCLUSIVE, reason="two sessions, one with a value of 0: they have no ratio")
    log, freedom = math.log(d.new / d.base), sessions.runs - 1
    error = max(math.sqrt(2) * sessions.percent / 100, (d.error or 0.0) / d.new)
    method = f"Student's t of a ratio of two sessions, {sessions.runs} sessions"

    def ends(level: float) -> Interval:
        reach = float(stats.t.ppf(1 - level, freedom)) * error
        return Interval(d.base * math.expm1(log - reach), d.base * math.expm1(log + reach), method)  # type: ignore[operator]

    p = 2 * float(stats.t.sf(abs(log) / error, freedom)) if error > 0 else float(log == 0)
    return replace(
        d, interval=ends(alpha / 2), bounds=ends(alpha), p=p, error=d.new * error, new_error=d.new * error / math.sqrt(2),
        least_p=0.0, units=2, counted="sessions",
    )  # fmt: skip


def same_session(base: RunData, new: RunData) -> bool:
    """Whether both were timed in turns in one session of `sora-eval bench`."""
    one, other = ((data.head.bench or {}).get("session") for data in (base, new))
    return one is not None and one == other
