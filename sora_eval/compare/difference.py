"""One metric of two runs, on one slice: its change with interval and test, or why there is none. Pure.

A change is NEW minus BASE. Pairs are cases; the prompt is the cluster.
"""

from __future__ import annotations

from dataclasses import replace
from textwrap import shorten
from typing import Any

import numpy as np
from scipy import stats

from sora_eval.compare.cases import place_of
from sora_eval.compare.fidelity import paired_difference
from sora_eval.compare.quality import pairs, sets
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData
from sora_eval.records.bucket import Axis, incomparable
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import Verdict
from sora_eval.registry.paired_metrics import PAIRED_OUTPUTS
from sora_eval.runs.rows import MetricRow
from sora_eval.speed.summary import repeats_of
from sora_eval.stats.intervals import (
    RESAMPLES,
    Interval,
    difference_of_medians,
    least_mann_whitney_p,
    mann_whitney_p,
    ratio_of_medians,
)
from sora_eval.stats.power import ALPHA

SET_PERMUTATIONS = 999
MOST_OF_A_PROMPT = 80  # characters, in a reason
APART = "two jobs, not interleaved: 'sora-eval bench --against' times both in one"


def difference(
    base: RunData,
    new: RunData,
    metric: str,
    label: str = "all",
    *,
    permutations: int = RESAMPLES,
    set_permutations: int = SET_PERMUTATIONS,
    profile: str | None = None,
    alpha: float = ALPHA,
) -> Difference:
    """Compare one metric on one slice; data that cannot be compared give a status, not an exception.

    `profile` names hardware on which the speed of two jobs may be compared. The interval has the confidence 1 - `alpha`.
    """
    if metric in PAIRED_OUTPUTS or (new.fidelity is not None and metric in new.fidelity.outputs):
        return paired_difference(Difference(metric, label, paired=True), base, new, unlike(base, new), permutations, alpha)
    a, b = _rows_of(base, new, metric, label)
    known = b or a
    out = Difference(metric, label, base=_value(a), new=_value(b))
    if known is not None:
        out = replace(out, n=known.n_scored, unit=known.unit, higher_is_better=known.higher_is_better, family=known.family)
    out = replace(out, unlike_reference=next((r.unlike_reference for r in (b, a) if r and r.unlike_reference), ""))
    if problem := _problem(base, new, a, b, metric, profile):
        return replace(out, status=problem[0], reason=problem[1])
    assert b is not None  # else there is a problem
    try:
        if is_speed(metric):
            return _speed(out, base, new, alpha)
        if metric in base.features or metric in new.features:
            return sets(out, base, new, b.statistic, set_permutations, alpha)
        return pairs(out, base, new, permutations, alpha)
    except ValueError as error:  # vectors of another width
        return replace(out, status=Verdict.ERROR, reason=str(error))


def unlike(base: RunData, new: RunData) -> str:
    """The first declared field whose values differ, or prompts that do, so that no numbers can be compared; or ''."""
    one, other = base.head.suite, new.head.suite
    fields: list[tuple[str, tuple[Any, Any]]] = [
        ("suite.id", (one.id, other.id)),
        ("suite.version", (one.version, other.version)),
        ("suite.fingerprint", (one.fingerprint, other.fingerprint)),
    ]
    sides = [f" (with {', '.join(data.head.changes)})" if data.head.changes else "" for data in (base, new)]
    differing = (f"{name}: {a}{sides[0]} against {b}{sides[1]}" for name, (a, b) in fields if a != b)
    return next(differing, "") or other_prompts(base, new)


def other_prompts(base: RunData, new: RunData) -> str:
    """The first prompt id with another text on either side, and how many have one, or ''. Unknown texts are not compared."""
    common = base.texts.keys() & new.texts.keys()
    other = sorted(p for p in common if base.texts[p] != new.texts[p])
    if not other:
        return ""
    a, b = (shorten(" / ".join(sorted(data.texts[other[0]])), MOST_OF_A_PROMPT) for data in (base, new))
    return f"prompts: {len(other)} of {len(common)} ids have another text, first {other[0]}: {a!r} against {b!r}"


def _rows_of(base: RunData, new: RunData, metric: str, label: str) -> tuple[MetricRow | None, MetricRow | None]:
    """The row of each run; of a slice that has none, that of all; of an output, that of a metric that failed whole."""
    rows = [_row_of(data, metric, label) for data in (base, new)]
    declared = next((row.declared for row in rows if row is not None), "") or metric.partition(".")[0]
    failed = ("latency", label) if is_speed(metric) else (declared, "all")
    for i, data in enumerate((base, new)):
        whole = data.metrics.get(failed)
        if rows[i] is None and whole is not None and whole.status == "error":
            rows[i] = whole
    return rows[0], rows[1]


def _row_of(data: RunData, metric: str, label: str) -> MetricRow | None:
    row = data.metrics.get((metric, label))
    return row if is_speed(metric) else row or data.metrics.get((metric, "all"))


def _value(row: MetricRow | None) -> float | None:
    return None if row is None or row.value is None or not np.isfinite(row.value) else row.value


def _problem(
    base: RunData,
    new: RunData,
    a: MetricRow | None,
    b: MetricRow | None,
    metric: str,
    profile: str | None,
) -> tuple[Verdict, str] | None:
    if b is None:
        return Verdict.MISSING, "the new run has no such row"
    for name, row in (("new", b), ("base", a)):
        if row is None:
            return Verdict.NO_BASELINE, f"the {base.kind} {base.path} has no such row"
        if _value(row) is None:
            why = row.reason if row.value is None else f"the value is {row.value}"
            return Verdict.ERROR, f"{name} has no value: {row.status}: {why}"
    assert a is not None
    if a.signature != b.signature:
        return Verdict.NOT_COMPARABLE, f"signature: {a.signature} against {b.signature}"
    sensitive = {*a.sensitive_to, *b.sensitive_to}
    if field := unlike(base, new) or _across_buckets(base, new, sensitive):
        return Verdict.NOT_COMPARABLE, field
    return _speed_problem(base, new, profile) if is_speed(metric) else None


def _across_buckets(base: RunData, new: RunData, sensitive: set[Axis]) -> str:
    """Why the clips of the same cases are too different for a metric, or ''."""
    # The bucket of a file that cannot be read is not known.
    first, second = (
        {place_of(i): row.bucket for i, row in data.samples.items() if row.bucket is not None} for data in (base, new)
    )
    return incomparable(((first[place], second[place]) for place in first if place in second), sensitive)


def _speed_problem(base: RunData, new: RunData, profile: str | None) -> tuple[Verdict, str] | None:
    """Speed is compared inside one interleaved session, or on one named machine."""
    sessions = [(data.head.bench or {}).get("session") for data in (base, new)]
    a, b = base.head.hardware, new.head.hardware
    if a != b:
        key = next((k for k in {**a, **b} if a.get(k) != b.get(k)), "")
        return Verdict.NOT_COMPARABLE, f"hardware.{key}: {a.get(key)} against {b.get(key)}"
    if sessions[0] is not None and sessions[0] == sessions[1]:
        return None
    if profile is None:
        return Verdict.NOT_COMPARABLE, APART
    if base.profile != profile:
        return Verdict.NOT_COMPARABLE, f"profile: the baseline is of {base.profile!r}, this gate of {profile!r}"
    return None


def _speed(out: Difference, base: RunData, new: RunData, alpha: float) -> Difference:
    a, b = (_repeats(data, out.metric, out.slice) for data in (base, new))
    if not a or not b:
        return replace(out, status=Verdict.ERROR, reason="timings.jsonl has no repeats of it")
    value = float(np.median(a))
    change, interval = _change_of_medians(a, b, 1 - alpha)
    _, bounds = _change_of_medians(a, b, 1 - 2 * alpha)
    low, high = interval.low, interval.high
    error = None if low is None or high is None else (high - low) / (2 * float(stats.norm.ppf(1 - alpha / 2)))
    return replace(
        out,
        base=value,
        new=value + change,
        change=change,
        interval=interval,
        bounds=bounds,
        p=mann_whitney_p(a, b),
        least_p=least_mann_whitney_p(len(a), len(b)),
        error=error,
        new_error=1.2533 * float(np.std(b, ddof=1)) / len(b) ** 0.5 if len(b) > 1 else None,  # of a median: sqrt(pi/2)
        n=min(len(a), len(b)),
        units=min(len(a), len(b)),
        counted="repeats",
    )


def _change_of_medians(a: list[float], b: list[float], confidence: float) -> tuple[float, Interval]:
    """The change of the median, by its ratio; where none of a kind is the rule, as of failures, by its difference."""
    value = float(np.median(a))
    if not value:
        return difference_of_medians(a, b, confidence=confidence)
    ratio, interval = ratio_of_medians(a, b, confidence=confidence)
    low, high = (None if end is None else value * (end - 1) for end in (interval.low, interval.high))
    return value * (ratio - 1), Interval(low, high, interval.method)


def _repeats(data: RunData, metric: str, label: str) -> list[float]:
    peak = (data.head.bench or {}).get("matrix_peak_flops")
    return repeats_of([r for r in data.timings if r.id == label], metric, peak)
