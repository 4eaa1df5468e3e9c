"""One metric of two runs, on one slice: its change with interval and test, or why there is none. Pure.

A change is NEW minus BASE. Pairs are cases; the prompt is the cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.compare.cases import Unpaired, account
from sora_eval.compare.run_data import Features, RunData, rows_of
from sora_eval.records.bucket import Axis, incomparable
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import MetricRow
from sora_eval.speed.summary import repeats_of
from sora_eval.stats.distances import set_statistic
from sora_eval.stats.intervals import (
    RESAMPLES,
    Interval,
    clustered_error,
    difference_interval,
    least_mann_whitney_p,
    least_swap_p,
    mann_whitney_p,
    mcnemar_p,
    paired_set_difference,
    ratio_of_medians,
    sign_flip_p,
)
from sora_eval.stats.power import ALPHA
from sora_eval.stats.set_statistic import SetStatistic

NO_INTERVAL = Interval(None, None, "")
SET_PERMUTATIONS = 999
APART = "two jobs, not interleaved: 'sora-eval bench --against' times both in one"


@dataclass(frozen=True)
class Difference:
    """`status` is None where there is a number, else the verdict in its place, with its `reason`.

    `base`, `new`, `change` and `interval` are in `unit`. `n` is the number of cases or repeats, `units` that of the clusters
    (what `counted` says: prompts or repeats) behind `error`, the standard error of the change, and `new_error`, that of the
    new value. `least_p` is the smallest p that the test can give with that many clusters.
    """

    metric: str
    slice: str
    status: Verdict | None = None
    reason: str = ""
    base: float | None = None
    new: float | None = None
    change: float | None = None
    interval: Interval = NO_INTERVAL
    p: float | None = None
    error: float | None = None
    new_error: float | None = None
    least_p: float = 0.0
    n: int = 0
    units: int = 0
    unit: str = ""
    higher_is_better: bool | None = None
    family: str = ""
    counted: str = "prompts"
    note: str = ""
    unlike_reference: str = ""  # as in MetricRow, of either run
    unpaired: Unpaired = field(default_factory=Unpaired)

    @property
    def change_percent(self) -> float | None:
        """Change in per cent of the baseline's value; None where that is 0 or there is no change."""
        return 100 * self.change / abs(self.base) if self.change is not None and self.base else None


def difference(
    base: RunData,
    new: RunData,
    metric: str,
    label: str = "all",
    *,
    permutations: int = RESAMPLES,
    set_permutations: int = SET_PERMUTATIONS,
    other_seeds: bool = False,
    profile: str | None = None,
    alpha: float = ALPHA,
) -> Difference:
    """Compare one metric on one slice; data that cannot be compared give a status, not an exception.

    `other_seeds` pairs runs whose seeds differ; `profile` names hardware on which the speed of two jobs may be compared.
    The interval has the confidence 1 - `alpha`.
    """
    a, b = _rows_of(base, new, metric, label)
    known = b or a
    out = Difference(metric, label, base=_value(a), new=_value(b))
    if known is not None:
        out = replace(out, n=known.n_scored, unit=known.unit, higher_is_better=known.higher_is_better, family=known.family)
    out = replace(out, unlike_reference=next((r.unlike_reference for r in (b, a) if r and r.unlike_reference), ""))
    if problem := _problem(base, new, a, b, metric, other_seeds, profile):
        return replace(out, status=problem[0], reason=problem[1])
    assert b is not None  # else there is a problem
    try:
        if is_speed(metric):
            return _speed(out, base, new, alpha)
        if metric in base.features or metric in new.features:
            return _sets(out, base, new, b.statistic, set_permutations, alpha)
        return _pairs(out, base, new, permutations, alpha)
    except ValueError as error:  # vectors of another width
        return replace(out, status=Verdict.ERROR, reason=str(error))


def unlike(base: RunData, new: RunData, other_seeds: bool = False) -> str:
    """The first declared field whose values differ, so that no numbers of the two sides can be compared, or ''."""
    one, other = base.head.suite, new.head.suite
    fields: list[tuple[str, tuple[Any, Any]]] = [
        ("suite.id", (one.id, other.id)),
        ("suite.version", (one.version, other.version)),
        ("suite.fingerprint", (one.fingerprint, other.fingerprint)),
    ]
    if not other_seeds:
        fields.append(("seed_offset", (base.head.seed_offset, new.head.seed_offset)))
    return next((f"{name}: {a} against {b}" for name, (a, b) in fields if a != b), "")


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
    other_seeds: bool,
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
    if field := unlike(base, new, other_seeds) or _across_buckets(base, new, sensitive):
        return Verdict.NOT_COMPARABLE, field
    return _speed_problem(base, new, profile) if is_speed(metric) else None


def _across_buckets(base: RunData, new: RunData, sensitive: set[Axis]) -> str:
    """Why the clips of the same cases are too different for a metric, or ''."""
    # The bucket of a file that cannot be read is not known.
    both = [(base.samples[i].bucket, new.samples[i].bucket) for i in base.samples if i in new.samples]
    return incomparable(((a, b) for a, b in both if a is not None and b is not None), sensitive)


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
    if not a or not b or not np.median(a):
        return replace(out, status=Verdict.ERROR, reason="timings.jsonl has no repeats of it, or a median of 0")
    ratio, interval = ratio_of_medians(a, b, confidence=1 - alpha)
    value = float(np.median(a))
    low, high = (None if end is None else value * (end - 1) for end in (interval.low, interval.high))
    error = None if low is None or high is None else (high - low) / (2 * float(stats.norm.ppf(1 - alpha / 2)))
    return replace(
        out,
        base=value,
        new=value * ratio,
        change=value * (ratio - 1),
        interval=Interval(low, high, interval.method),
        p=mann_whitney_p(a, b),
        least_p=least_mann_whitney_p(len(a), len(b)),
        error=error,
        new_error=1.2533 * float(np.std(b, ddof=1)) / len(b) ** 0.5 if len(b) > 1 else None,  # of a median: sqrt(pi/2)
        n=min(len(a), len(b)),
        units=min(len(a), len(b)),
        counted="repeats",
    )


def _repeats(data: RunData, metric: str, label: str) -> list[float]:
    peak = (data.head.bench or {}).get("matrix_peak_flops")
    return repeats_of([r for r in data.timings if r.id == label], metric, peak)


def _pairs(out: Difference, base: RunData, new: RunData, permutations: int, alpha: float) -> Difference:
    if not any(out.metric in data.scores for data in (base, new)):
        reason = "neither run stores scores or vectors of it, so nothing can be paired; the values are shown"
        return replace(out, status=Verdict.INCONCLUSIVE, reason=reason)
    values = [{i: r.value for i, r in data.scores.get(out.metric, {}).items() if r.value is not None} for data in (base, new)]
    ids, unpaired = account(base, new, out.metric, out.slice, [set(v) for v in values])
    if not ids:
        return replace(
            out, status=Verdict.ERROR, reason=unpaired.words() or "no case has a score in both runs", unpaired=unpaired, n=0
        )
    a, b = (np.array([v[i] for i in ids], np.float64) for v in values)
    prompts = [new.clusters[i] for i in ids]
    interval, units = difference_interval(b - a, prompts, confidence=1 - alpha), len(set(prompts))
    note, method, p = unpaired.words(), interval.method, sign_flip_p(b - a, prompts, permutations=permutations)
    if np.isin(np.concatenate([a, b]), (0, 1)).all():
        counts = f"{int((a > b).sum())} cases are 1 in base only, {int((b > a).sum())} in new only"
        note = "; ".join(filter(None, [counts, note]))
        if units == len(ids) > 1:
            p, method = mcnemar_p(a, b), f"{method}; McNemar"
    return replace(
        out,
        base=float(a.mean()),
        new=float(b.mean()),
        change=float((b - a).mean()),
        interval=replace(interval, method=method),
        p=p,
        error=clustered_error(b - a, prompts),
        new_error=clustered_error(b, prompts),
        least_p=least_swap_p(units, permutations),
        n=len(ids),
        units=units,
        note=note,
        unpaired=unpaired,
    )


def _sets(
    out: Difference, base: RunData, new: RunData, spec: SetStatistic | None, permutations: int, alpha: float
) -> Difference:
    none: Features = ([], np.zeros((0, 0)))
    first, second = base.features.get(out.metric, none), new.features.get(out.metric, none)
    reference = new.references.get(out.metric) or base.references.get(out.metric)
    if reference is None:
        return replace(out, status=Verdict.ERROR, reason="neither run has the vectors of the reference set")
    if spec is None:
        return replace(out, status=Verdict.ERROR, reason="its row does not say which statistic of two sets it is")
    ids, unpaired = account(base, new, out.metric, out.slice, [set(first[0]), set(second[0])])
    real = _reference_rows(reference, base, new, out.slice)
    statistic, (a, b, r) = set_statistic(spec, rows_of(first, ids), rows_of(second, ids), real) if ids else (None, (real,) * 3)
    if statistic is None or min(len(ids), len(real)) < statistic.least:
        reason = f"{len(ids)} common and {len(real)} reference clips are too few for a distance"
        return replace(out, status=Verdict.INCONCLUSIVE, reason=reason, n=len(ids), note=unpaired.words(), unpaired=unpaired)
    note = "; ".join(filter(None, [out.unlike_reference, unpaired.words()]))
    prompts = [new.clusters[i] for i in ids]
    result = paired_set_difference(a, b, r, prompts, statistic, permutations, confidence=1 - alpha)
    units = len(set(prompts))
    return replace(
        out,
        base=result.base,
        new=result.new,
        change=result.difference,
        interval=result.interval,
        p=result.p,
        error=result.error,
        new_error=result.errors[1],
        least_p=least_swap_p(units, permutations),
        n=len(ids),
        units=units,
        note=note,
        unpaired=unpaired,
    )


def _reference_rows(reference: Features, base: RunData, new: RunData, label: str) -> npt.NDArray[Any]:
    """The reference vectors of a slice: those that answer its cases."""
    if label == "all":
        return reference[1]
    cases = base.cases(label) | new.cases(label)
    return np.asarray(reference[1])[[i in cases for i in reference[0]]]
