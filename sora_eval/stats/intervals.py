"""Intervals and tests of two samples and of two sets, pure: numpy and scipy.

Those of means over prompts are in `sora_eval.stats.cluster_means`; Holm's correction, detectable changes and the prompts that a
verdict needs in `sora_eval.stats.power`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.stats.distances import Index, Statistic

Array = npt.NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A confidence interval in the unit of its values, or None at both ends; `method` says how it was computed, or why not."""

    low: float | None
    high: float | None
    method: str


def resamples_for(confidence: float) -> int:
    """Number of resamples that leaves as many outside an interval of `confidence` as RESAMPLES leave outside one of CONFIDENCE.

    >>> resamples_for(0.95), resamples_for(0.99)
    (2000, 10000)
    """
    return max(RESAMPLES, math.ceil(RESAMPLES * (1 - CONFIDENCE) / (1 - confidence) - 1e-6))


def mcnemar_p(base: npt.ArrayLike, new: npt.ArrayLike) -> float:
    """Exact two-sided p that two 0/1 answers (n,) to the same cases are right equally often (McNemar 1947, binomial).

    >>> mcnemar_p([1, 1, 1, 0], [0, 0, 0, 0])  # 3 changes, all in one direction: 2 / 2^3
    0.25
    """
    a, b = np.asarray(base, bool), np.asarray(new, bool)
    gains, losses = int((~a & b).sum()), int((a & ~b).sum())
    return float(stats.binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0


def mann_whitney_p(a: npt.ArrayLike, b: npt.ArrayLike, seed: int = 0) -> float:
    """Exact two-sided p that neither of two samples (n,) and (m,) tends to be larger; with ties, by permuted ranks."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    ties = len(np.unique(np.concatenate([x, y]))) < len(x) + len(y)
    if not ties:
        return float(stats.mannwhitneyu(x, y, alternative="two-sided", method="exact").pvalue)
    permuted = stats.PermutationMethod(n_resamples=9999, rng=np.random.default_rng(seed))
    return float(stats.mannwhitneyu(x, y, alternative="two-sided", method=permuted).pvalue)


def least_mann_whitney_p(n: int, m: int) -> float:
    """The smallest two-sided p that `mann_whitney_p` can give for n values against m.

    >>> [round(least_mann_whitney_p(n, n), 4) for n in (3, 4, 5, 6)]
    [0.1, 0.0286, 0.0079, 0.0022]
    """
    return min(1.0, 2 / math.comb(n + m, n))


def ratio_of_medians(
    base: npt.ArrayLike, new: npt.ArrayLike, seed: int = 0, confidence: float = CONFIDENCE
) -> tuple[float, Interval]:
    """Median of `new` (m,) over that of `base` (n,), with its percentile bootstrap interval over repeats.

    No interval with fewer than four repeats on either side: a resampled median then takes too few values. The median of
    `base` must not be 0.
    """
    a, b = np.asarray(base, np.float64), np.asarray(new, np.float64)
    ratio = float(np.median(b) / np.median(a))
    if min(len(a), len(b)) < 4:
        return ratio, Interval(None, None, "none: fewer than 4 repeats")
    medians = _resampled_medians(a, b, seed, confidence)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians[1] / medians[0], [tail, 1 - tail])
    return ratio, Interval(float(low), float(high), f"bootstrap of the ratio of medians, {len(a)} and {len(b)} repeats")


def difference_of_medians(
    base: npt.ArrayLike, new: npt.ArrayLike, seed: int = 0, confidence: float = CONFIDENCE
) -> tuple[float, Interval]:
    """As `ratio_of_medians`, of the difference: for a base whose median is 0."""
    a, b = np.asarray(base, np.float64), np.asarray(new, np.float64)
    difference = float(np.median(b) - np.median(a))
    if min(len(a), len(b)) < 4:
        return difference, Interval(None, None, "none: fewer than 4 repeats")
    medians = _resampled_medians(a, b, seed, confidence)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians[1] - medians[0], [tail, 1 - tail])
    return difference, Interval(
        float(low), float(high), f"bootstrap of the difference of medians, {len(a)} and {len(b)} repeats"
    )


def _resampled_medians(a: Array, b: Array, seed: int, confidence: float) -> list[Array]:
    """Medians (resamples,) of bootstrap samples of two sets of repeats."""
    rng = np.random.default_rng(seed)
    return [np.median(rng.choice(x, (resamples_for(confidence), len(x))), axis=1) for x in (a, b)]


def median_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Interval of the median behind `values` (n,) by two of them in order (the sign test's binomial), for any distribution.

    None where both extremes together do not reach the confidence: at 95 %, with fewer than six values.

    >>> median_interval([3, 1, 2, 6, 5, 4]).low, median_interval([3, 1, 2, 6, 5, 4]).high, median_interval([3, 1, 2]).low
    (1.0, 6.0, None)
    """
    array = np.asarray(values, np.float64)
    if not len(array) or 1 - 2.0 ** (1 - len(array)) < confidence:
        needed = 1 + math.ceil(-math.log2(1 - confidence))
        return Interval(None, None, f"none: fewer than {needed} repeats")
    ends: Any = stats.quantile_test(array, q=float(np.median(array)), p=0.5).confidence_interval(confidence)
    return Interval(float(ends.low), float(ends.high), f"order statistics, {len(array)} repeats")


def jackknife_error(leave_one_out: npt.ArrayLike) -> float | None:
    """Standard error of a statistic from its leave-one-cluster-out values (n,); None with fewer than two.

    >>> jackknife_error([3.0, 1.0])  # of the mean of 1 and 3
    1.0
    """
    values = np.asarray(leave_one_out, np.float64)
    n = len(values)
    return float(np.sqrt((n - 1) / n * np.square(values - values.mean()).sum())) if n >= 2 else None


def jackknife_interval(leave_one_out: npt.ArrayLike, value: float, confidence: float = CONFIDENCE) -> Interval:
    """Interval of a statistic of `value` from its leave-one-cluster-out values (n,), Student's t with n - 1 degrees."""
    error, n = jackknife_error(leave_one_out), np.size(leave_one_out)
    if error is None:
        return Interval(None, None, "none: fewer than 2 prompts")
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return Interval(value - reach, value + reach, f"jackknife, {n} prompts")


Distance = Callable[[Index, Index], float]  # from two sets of row numbers of a joint Gram matrix


@dataclass(frozen=True)
class SetDifference:
    """Mean distances of the sets of A and of B to one reference, `difference` = B - A with interval and one-sided `bounds`
    (each with the interval's confidence), standard error, and p of no difference.

    `errors` are the standard errors of the two means themselves, at this n.
    """

    base: float
    new: float
    difference: float
    interval: Interval
    bounds: Interval
    p: float | None
    error: float | None = None
    errors: tuple[float | None, float | None] = (None, None)


def set_difference(
    a: Index,
    b: Index,
    reference: Index,
    clusters: Sequence[str],
    distance: Statistic,
    permutations: int = 500,
    confidence: float = CONFIDENCE,
) -> SetDifference:
    """Compare sets that answer the same cases, one set per seed, each against one reference set.

    `a` (K, n) and `b` (k, n) are row numbers: column i is one case of cluster `clusters[i]`, a row one seed; `reference` is
    (m,). A side is the mean of its sets' distances, so its bias does not depend on its number of seeds. The interval is a
    paired jackknife over clusters; p comes from permuting which seeds of a cluster are A's and which are B's, (c + 1) /
    (P + 1). The jackknife skips clusters without which too few rows remain for a distance.
    """

    def mean(sets: Index) -> float:
        return float(np.mean([distance(rows, reference) for rows in sets]))

    first, second = mean(a), mean(b)
    difference, none = second - first, Interval(None, None, "none: too few cases to leave one prompt out")
    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        none = Interval(None, None, "none: fewer than 2 prompts")
        return SetDifference(first, second, difference, none, none, None)
    masks = [codes != c for c in range(len(names)) if (codes != c).sum() >= distance.least]
    leave_one_out = np.array([[mean(sets[:, m]) for sets in (a, b)] for m in masks]).reshape(len(masks), 2)
    permuted = _permuted(np.concatenate([b, a]), len(b), codes, reference, distance, permutations)
    # Rounding must not hide a tie: the same sets in another order differ in the last digits.
    extreme = int((np.abs(permuted) >= abs(difference) - 1e-9 * (abs(first) + abs(second))).sum())
    interval, bounds, change_error = none, none, None
    if len(masks) >= 2:
        changes = leave_one_out[:, 1] - leave_one_out[:, 0]
        interval, change_error = jackknife_interval(changes, difference, confidence), jackknife_error(changes)
        bounds = jackknife_interval(changes, difference, 2 * confidence - 1)
    errors = (jackknife_error(leave_one_out[:, 0]), jackknife_error(leave_one_out[:, 1]))
    p = (extreme + 1) / (permutations + 1)
    return SetDifference(first, second, difference, interval, bounds, p, change_error, errors)


def _permuted(
    joint: Index, k: int, codes: npt.NDArray[Any], reference: Index, distance: Statistic, permutations: int
) -> npt.NDArray[np.float64]:
    """Differences (p,) after the sets (s, n) of every cluster were given to other seeds; the first k are B's."""
    seeds, cases = joint.shape
    order = np.random.default_rng(0).random((permutations, codes.max() + 1, seeds)).argsort(2)[:, codes]
    means = [distance.many(joint[order[:, :, j], np.arange(cases)], reference) for j in range(seeds)]
    return np.asarray(np.mean(means[:k], 0) - np.mean(means[k:], 0))


def two_sample_p(a: Index, b: Index, distance: Distance, permutations: int = 200, seed: int = 0) -> float:
    """One-sided p that two sets of rows (n,) and (m,) have the same source: labels are permuted; (c + 1) / (P + 1)."""
    observed, joint = distance(a, b), np.concatenate([a, b])
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(joint) for _ in range(permutations)]
    values = np.array([distance(order[: len(a)], order[len(a) :]) for order in orders])
    # Rounding must not hide a tie: the same two sets in another order differ in the last digits.
    extreme = int((values >= observed - 1e-9 * np.abs(values).max(initial=abs(observed))).sum())
    return (extreme + 1) / (permutations + 1)


def split_halves(rows: Index, size: int, distance: Distance, splits: int = 20, seed: int = 0) -> tuple[float, int]:
    """Mean distance of two disjoint random parts of one set of rows (n,), and the size of each: min(`size`, n // 2)."""
    part = min(size, len(rows) // 2)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(splits):
        order = rng.permutation(rows)
        values.append(distance(order[:part], order[part : 2 * part]))
    return float(np.mean(values)), part
