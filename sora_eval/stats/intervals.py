"""Intervals and tests, pure: numpy and scipy. The prompt is the unit; seeds and shapes of one prompt are not independent.

Holm's correction, detectable changes and the prompts that a verdict needs are in `sora_eval.stats.power`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.stats.distances import Index, Statistic

Array = npt.NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 2000
FEW_CLUSTERS = 10  # with fewer, a bootstrap of means is too narrow: 2 prompts would give the range of 2 values


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


def _cluster_sums(values: Array, clusters: Sequence[str]) -> tuple[Array, Array]:
    """Sum and number of the values (n,) of each cluster, both (number of clusters,)."""
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(codes, values).astype(np.float64), np.bincount(codes).astype(np.float64)


def mean_interval(values: npt.ArrayLike, clusters: Sequence[str], seed: int = 0, confidence: float = CONFIDENCE) -> Interval:
    """Interval of the mean of `values` (n,), whole clusters resampled (BCa; Efron 1987); `clusters[i]` is that of `values[i]`.

    Fewer than two clusters give no interval; values that are all equal give the point.

    >>> mean_interval([0.5, 0.5, 0.5], ["a", "a", "b"])
    Interval(low=0.5, high=0.5, method='all values equal')
    """
    array = np.asarray(values, np.float64)
    sums, counts = _cluster_sums(array, clusters)
    if len(sums) < 2:
        return Interval(None, None, "none: fewer than 2 prompts")
    if np.ptp(array) == 0:
        return Interval(float(array[0]), float(array[0]), "all values equal")

    def mean(s: Array, c: Array, axis: int = -1) -> Array:
        return np.asarray(s.sum(axis) / c.sum(axis))

    # BCa has no acceleration when leaving out any one cluster changes nothing; percentiles are used then.
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            low, high = stats.bootstrap(
                (sums, counts),
                mean,
                paired=True,
                vectorized=True,
                n_resamples=resamples_for(confidence),
                confidence_level=confidence,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite(low) and np.isfinite(high):
            break
    return Interval(float(low), float(high), f"cluster bootstrap {method}, {len(sums)} prompts")


def clustered_error(values: npt.ArrayLike, clusters: Sequence[str]) -> float | None:
    """Standard error of the mean of `values` (n,) over whole clusters (linearised ratio of sums); None below two clusters.

    >>> clustered_error([1.0, 3.0], ["a", "b"])  # of clusters of one value: standard deviation / sqrt(n)
    1.0
    """
    sums, counts = _cluster_sums(np.asarray(values, np.float64), clusters)
    n = len(sums)
    if n < 2:
        return None
    residuals = sums - counts * sums.sum() / counts.sum()
    return float(np.sqrt(n / (n - 1) * np.square(residuals).sum()) / counts.sum())


def difference_interval(
    differences: npt.ArrayLike, clusters: Sequence[str], seed: int = 0, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of a mean paired difference: BCa over clusters, or Student's t below FEW_CLUSTERS; `differences` are (n,).

    >>> interval = difference_interval([1.0, 3.0], ["a", "b"])  # 2 -+ t(0.975, 1 degree of freedom) x 1
    >>> round(interval.low, 3), round(interval.high, 3), interval.method
    (-10.706, 14.706, "Student's t, 2 prompts")
    """
    values = np.asarray(differences, np.float64)
    error, n = clustered_error(values, clusters), len(set(clusters))
    if error is None or n >= FEW_CLUSTERS or np.ptp(values) == 0:
        return mean_interval(values, clusters, seed, confidence)
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    mean = float(values.mean())
    return Interval(mean - reach, mean + reach, f"Student's t, {n} prompts")


def sign_flip_p(
    differences: npt.ArrayLike, clusters: Sequence[str], seed: int = 0, permutations: int = RESAMPLES
) -> float | None:
    """Two-sided p of a mean paired difference of 0: signs of whole clusters are flipped; twice the smaller tail, never 0.

    A tail is (c + 1) / (P + 1), where c of P flips reach the difference, or exact, c / 2^n, when all 2^n sign patterns are no
    more than `permutations`. None with fewer than two clusters.

    >>> sign_flip_p([1.0, 2.0, 3.0], ["a", "b", "c"])  # 2 of 8 sign patterns reach |6|
    0.25
    """
    sums, _ = _cluster_sums(np.asarray(differences, np.float64), clusters)
    if len(sums) < 2:
        return None
    result = stats.permutation_test(
        (sums,),
        lambda x, axis=-1: x.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def least_swap_p(clusters: int, permutations: int = RESAMPLES) -> float:
    """The smallest two-sided p that flipping or swapping whole clusters can give: 2 of 2^clusters patterns.

    >>> least_swap_p(3), least_swap_p(20, permutations=999)
    (0.25, 0.002)
    """
    return min(1.0, 2 / min(2.0 ** min(clusters, 60), permutations + 1))


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
    rng = np.random.default_rng(seed)
    resampled = [np.median(rng.choice(x, (resamples_for(confidence), len(x))), axis=1) for x in (a, b)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled[1] / resampled[0], [tail, 1 - tail])
    return ratio, Interval(float(low), float(high), f"bootstrap of the ratio of medians, {len(a)} and {len(b)} repeats")


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
    """Distances of A and B to one reference, `difference` = B - A with interval, standard error, and p of no difference.

    `errors` are the standard errors of the two distances themselves, at this n.
    """

    base: float
    new: float
    difference: float
    interval: Interval
    p: float | None
    error: float | None = None
    errors: tuple[float | None, float | None] = (None, None)


def paired_set_difference(
    a: Index,
    b: Index,
    reference: Index,
    clusters: Sequence[str],
    distance: Statistic,
    permutations: int = 500,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> SetDifference:
    """Compare two sets that answer the same cases, each against one reference set.

    `a[i]` and `b[i]`, both (n,), are the rows of one case of cluster `clusters[i]`; `reference` is (m,). The interval is a
    paired jackknife over clusters; p comes from swapping A and B, whole clusters at a time (Noreen 1989), (c + 1) / (P + 1).
    The jackknife skips clusters without which too few rows remain for a distance.
    """
    first, second = distance(a, reference), distance(b, reference)
    difference = second - first
    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        return SetDifference(first, second, difference, Interval(None, None, "none: fewer than 2 prompts"), None)
    masks = [codes != c for c in range(len(names)) if (codes != c).sum() >= distance.least]
    leave_one_out = np.array([[distance(rows[m], reference) for rows in (a, b)] for m in masks]).reshape(len(masks), 2)
    swaps = np.random.default_rng(seed).integers(0, 2, (permutations, len(names))).astype(bool)[:, codes]
    permuted = distance.many(np.where(swaps, a, b), reference) - distance.many(np.where(swaps, b, a), reference)
    # Rounding must not hide a tie: the same sets in another order differ in the last digits.
    extreme = int((np.abs(permuted) >= abs(difference) - 1e-9 * (abs(first) + abs(second))).sum())
    interval, change_error = Interval(None, None, "none: too few cases to leave one prompt out"), None
    if len(masks) >= 2:
        changes = leave_one_out[:, 1] - leave_one_out[:, 0]
        interval, change_error = jackknife_interval(changes, difference, confidence), jackknife_error(changes)
    errors = (jackknife_error(leave_one_out[:, 0]), jackknife_error(leave_one_out[:, 1]))
    return SetDifference(first, second, difference, interval, (extreme + 1) / (permutations + 1), change_error, errors)


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
