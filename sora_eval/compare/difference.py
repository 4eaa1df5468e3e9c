"""One metric of two sides, on one slice: its change with interval and test, or why there is none. Pure.

A change is NEW minus BASE. Pairs are cases; the prompt is the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.compare.run_data import Features, Side, rows_of
from sora_eval.records.bucket import Axis, Bucket, incomparable
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import Verdict
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

NO_INTERVAL = Interval(None, None, "")
SET_PERMUTATIONS = 999
APART = "two jobs, not interleaved: 'sora-eval bench --against' times both in one"


@dataclass(frozen=True)
class Lost:
    """Cases that one side scored and the other did not, by what became of them."""

    missing: tuple[str, ...] = ()  # BASE has the case, NEW does not
    extra: tuple[str, ...] = ()  # NEW has the case, BASE does not
    failed: tuple[str, ...] = ()  # scored in BASE, an error in NEW
    mended: tuple[str, ...] = ()  # an error in BASE, scored in NEW
    vanished: tuple[str, ...] = ()  # scored in BASE, undefined in NEW
    appeared: tuple[str, ...] = ()  # undefined in BASE, scored in NEW

    def words(self) -> str:
        """What a table says of them, with one example each."""
        texts = {
            "missing": "cases are only in base",
            "extra": "cases are only in new",
            "failed": "cases failed in new",
            "mended": "cases failed in base",
            "vanished": "cases have a score in base only",
            "appeared": "cases have a score in new only",
        }
        found = [(getattr(self, name), text) for name, text in texts.items()]
        return "; ".join(f"{len(ids)} {text} ({ids[0]})" for ids, text in found if ids)

    @property
    def p(self) -> float:
        """One-sided exact p that NEW loses scores no more often than it gains them."""
        lost, total = len(self.vanished), len(self.vanished) + len(self.appeared)
        return float(stats.binomtest(lost, total, alternative="greater").pvalue) if total else 1.0


@dataclass(frozen=True)
class Difference:
    """`status` is None where there is a number, else the verdict that stands in its place, with its `reason`.

    `units` are the clusters (prompts or repeats) behind `error`, the standard error of the change; `new_error` that of
    the new value. `least_p` is the smallest p that the test can give with so many.
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
    counted: str = "prompts"
    note: str = ""
    lost: Lost = Lost()

    @property
    def change_percent(self) -> float | None:
        """Of the baseline's value; None where that is 0."""
        return 100 * self.change / abs(self.base) if self.change is not None and self.base else None


def difference(
    base: Side,
    new: Side,
    metric: str,
    label: str = "all",
    *,
    permutations: int = RESAMPLES,
    set_permutations: int = SET_PERMUTATIONS,
    other_seeds: bool = False,
    profile: str | None = None,
    alpha: float = ALPHA,
) -> Difference:
    """Compare one metric on one slice; never raises for what two runs hold.

    `other_seeds` pairs runs whose seeds differ; `profile` names hardware on which the speed of two jobs may be compared.
    The interval leaves out the true change with a chance of `alpha`.
    """
    a, b = _row_of(base, metric, label), _row_of(new, metric, label)
    known: dict[str, Any] = b or a or {}
    out = Difference(
        metric,
        label,
        base=_value(a),
        new=_value(b),
        n=known.get("n_scored", 0),
        unit=known.get("unit", ""),
        higher_is_better=known.get("higher_is_better"),
    )
    if problem := _problem(base, new, a, b, metric, other_seeds, profile):
        return replace(out, status=problem[0], reason=problem[1])
    try:
        if is_speed(metric):
            return _speed(out, base, new, alpha)
        if metric in base.features or metric in new.features:
            return _sets(out, base, new, b["signature"], set_permutations, alpha)
        return _pairs(out, base, new, permutations, alpha)
    except ValueError as error:  # vectors of another width, a signature without a statistic
        return replace(out, status=Verdict.ERROR, reason=str(error))


def unlike(base: Side, new: Side, other_seeds: bool = False) -> str:
    """The first declared field in which two sides differ so that no number of theirs can be compared, or ''."""
    fields = [(f"suite.{k}", (base.head["suite"].get(k), new.head["suite"].get(k))) for k in ("id", "version", "fingerprint")]
    if not other_seeds:
        fields.append(("seed_offset", (base.head.get("seed_offset", 0), new.head.get("seed_offset", 0))))
    return next((f"{name}: {a} against {b}" for name, (a, b) in fields if a != b), "")


def _row_of(side: Side, metric: str, label: str) -> dict[str, Any]:
    """The row of metrics.jsonl; of a slice that has none, that of all; of an output, that of a metric that failed whole."""
    whole = side.metrics.get((metric.split(".", maxsplit=1)[0], "all"), {})
    if is_speed(metric):
        failed = side.metrics.get(("latency", label), {})
        return side.metrics.get((metric, label)) or (failed if failed.get("status") == "error" else {})
    row = side.metrics.get((metric, label)) or side.metrics.get((metric, "all"))
    return row or (whole if whole.get("status") == "error" else {})


def _value(row: dict[str, Any]) -> float | None:
    value = row.get("value")
    return None if value is None or not np.isfinite(value) else float(value)


def _problem(
    base: Side,
    new: Side,
    a: dict[str, Any],
    b: dict[str, Any],
    metric: str,
    other_seeds: bool,
    profile: str | None,
) -> tuple[Verdict, str] | None:
    if not b:
        return Verdict.MISSING, "the new run has no such row"
    for name, row in (("new", b), ("base", a)):
        if not row:
            return Verdict.NO_BASELINE, f"the {base.kind} {base.path} has no such row"
        if _value(row) is None:
            found = row["reason"] if row["value"] is None else f"the value is {row['value']}"
            return Verdict.ERROR, f"{name} has no value: {row['status']}: {found}"
    if a["signature"] != b["signature"]:
        return Verdict.NOT_COMPARABLE, f"signature: {a['signature']} against {b['signature']}"
    sensitive = {*a.get("sensitive_to", ()), *b.get("sensitive_to", ())}
    if field := unlike(base, new, other_seeds) or _across_buckets(base, new, sensitive):
        return Verdict.NOT_COMPARABLE, field
    return _speed_problem(base, new, profile) if is_speed(metric) else None


def _across_buckets(base: Side, new: Side, sensitive: set[Axis]) -> str:
    """Why the clips of the same cases are too unlike for a metric, or ''."""
    both = [(base.samples[i], new.samples[i]) for i in base.samples if i in new.samples]
    known = [(x, y) for x, y in both if x["width"] and y["width"]]  # of a file that cannot be read, no shape is known
    return incomparable(((_bucket(x), _bucket(y)) for x, y in known), sensitive)


def _bucket(sample: dict[str, Any]) -> Bucket:
    return Bucket(sample["width"], sample["height"], sample["frames"], sample["fps"])


def _speed_problem(base: Side, new: Side, profile: str | None) -> tuple[Verdict, str] | None:
    """Speed is compared inside one interleaved session, or on one named machine."""
    sessions = [(side.head.get("bench") or {}).get("session") for side in (base, new)]
    if base.head.get("hardware") != new.head.get("hardware"):
        a, b = (side.head.get("hardware") or {} for side in (base, new))
        key = next((k for k in {**a, **b} if a.get(k) != b.get(k)), "")
        return Verdict.NOT_COMPARABLE, f"hardware.{key}: {a.get(key)} against {b.get(key)}"
    if sessions[0] is not None and sessions[0] == sessions[1]:
        return None
    if profile is None:
        return Verdict.NOT_COMPARABLE, APART
    if base.profile != profile:
        return Verdict.NOT_COMPARABLE, f"profile: the baseline is of {base.profile!r}, this gate of {profile!r}"
    return None


def _speed(out: Difference, base: Side, new: Side, alpha: float) -> Difference:
    a, b = (_repeats(side, out.metric, out.slice) for side in (base, new))
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


def _repeats(side: Side, metric: str, label: str) -> list[float]:
    """The raw repeats of a speed metric on one shape, in the metric's unit."""
    stage = metric.removeprefix("latency.") if metric.startswith("latency.") else "whole"
    rows = [r for r in side.timings if r["id"] == label and r["stage"] == stage and r["seconds"]]
    if metric.startswith("latency"):
        return [r["seconds"] for r in rows]
    if metric == "peak_bytes":
        return [float(r["bytes"]) for r in rows]
    if metric == "flops":
        return [float(r["flops"]) for r in rows if r.get("flops")]
    if metric == "share_of_peak":
        peak = (side.head.get("bench") or {}).get("matrix_peak_flops")
        return [100 * r["flops"] / r["seconds"] / peak for r in rows if r.get("flops") and peak]
    per_call = {"clips_per_second": lambda r: r.get("batch") or 1, "frames_per_second": _frames_of}
    amount = per_call.get(metric, lambda r: r["tokens"] or 0)
    return [amount(r) / r["seconds"] for r in rows]


def _frames_of(row: dict[str, Any]) -> int:
    """Frames that one timed call made."""
    return int(row.get("frames") or int(row["id"].split("x")[2]) * (row.get("batch") or 1))


def _account(base: Side, new: Side, metric: str, label: str, scored: Sequence[set[str]]) -> tuple[list[str], Lost]:
    """Case ids that both sides scored, sorted, and what became of the others. `scored` are the ids of each side."""
    cases = base.cases(label) | new.cases(label)
    a, b = scored[0] & cases, scored[1] & cases
    known = [set(side.samples) for side in (base, new)]

    def undefined(side: Side, case: str) -> bool:
        return side.scores.get(metric, {}).get(case, {}).get("status") == "undefined"

    gone, come = sorted((a - b) & known[1]), sorted((b - a) & known[0])
    return sorted(a & b), Lost(
        tuple(sorted(cases & (known[0] - known[1]))),
        tuple(sorted(cases & (known[1] - known[0]))),
        tuple(i for i in gone if not undefined(new, i)),
        tuple(i for i in come if not undefined(base, i)),
        tuple(i for i in gone if undefined(new, i)),
        tuple(i for i in come if undefined(base, i)),
    )


def _pairs(out: Difference, base: Side, new: Side, permutations: int, alpha: float) -> Difference:
    if not any(out.metric in side.scores for side in (base, new)):
        reason = "neither run keeps scores or vectors of it, so nothing can be paired; the values are shown"
        return replace(out, status=Verdict.INCONCLUSIVE, reason=reason)
    values = [
        {i: r["value"] for i, r in side.scores.get(out.metric, {}).items() if r["value"] is not None} for side in (base, new)
    ]
    ids, lost = _account(base, new, out.metric, out.slice, [set(v) for v in values])
    if not ids:
        return replace(out, status=Verdict.ERROR, reason=lost.words() or "no case has a score in both runs", lost=lost, n=0)
    a, b = (np.array([v[i] for i in ids], np.float64) for v in values)
    prompts = [str(new.samples[i]["prompt_id"]) for i in ids]
    interval, units = difference_interval(b - a, prompts, confidence=1 - alpha), len(set(prompts))
    note, method, p = lost.words(), interval.method, sign_flip_p(b - a, prompts, permutations=permutations)
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
        lost=lost,
    )


def _sets(out: Difference, base: Side, new: Side, signature: str, permutations: int, alpha: float) -> Difference:
    none: Features = ([], np.zeros((0, 0)))
    first, second = base.features.get(out.metric, none), new.features.get(out.metric, none)
    reference = new.references.get(out.metric) or base.references.get(out.metric)
    if reference is None:
        return replace(out, status=Verdict.ERROR, reason="neither run has the vectors of the reference set")
    ids, lost = _account(base, new, out.metric, out.slice, [set(first[0]), set(second[0])])
    real = _reference_rows(reference, base, new, out.slice)
    statistic, (a, b, r) = (
        set_statistic(signature, rows_of(first, ids), rows_of(second, ids), real) if ids else (None, (real,) * 3)
    )
    if statistic is None or min(len(ids), len(real)) < statistic.least:
        reason = f"{len(ids)} common and {len(real)} reference clips are too few for a distance"
        return replace(out, status=Verdict.INCONCLUSIVE, reason=reason, n=len(ids), note=lost.words(), lost=lost)
    prompts = [str(new.samples[i]["prompt_id"]) for i in ids]
    found = paired_set_difference(a, b, r, prompts, statistic, permutations, confidence=1 - alpha)
    units = len(set(prompts))
    return replace(
        out,
        base=found.base,
        new=found.new,
        change=found.difference,
        interval=found.interval,
        p=found.p,
        error=found.error,
        new_error=found.errors[1],
        least_p=least_swap_p(units, permutations),
        n=len(ids),
        units=units,
        note=lost.words(),
        lost=lost,
    )


def _reference_rows(reference: Features, base: Side, new: Side, label: str) -> npt.NDArray[Any]:
    """The reference vectors of a slice: those that answer its cases."""
    if label == "all":
        return reference[1]
    cases = base.cases(label) | new.cases(label)
    return np.asarray(reference[1])[[i in cases for i in reference[0]]]
