"""Means over whole prompts: intervals, one-sided bounds and tests that hold at few prompts and near the end of a range. Pure.

The prompt is the unit (the cluster); seeds and shapes of one prompt are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.stats.intervals import CONFIDENCE, RESAMPLES, Array, Interval
from sora_eval.stats.packed_draws import AT_A_TIME, Bits, packed, parts_of, unpacked

LEAST_CLUSTERS = 3  # with two, an interval that holds is as wide as the range
LEAST_OUTSIDE = 10  # means of subsets beyond a bound
MOST_FLIPPED = 5000  # clusters; with more, Student's t is exact enough
ROUNDING = 1e-12  # of the sum of sizes: sums in another order differ in the last digits, and a tie counts


def cluster_sums(values: npt.ArrayLike, clusters: Sequence[str]) -> tuple[Array, Array]:
    """Sum and number of the values (n,) of each cluster, both (number of clusters,)."""
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(codes, np.asarray(values, np.float64)).astype(np.float64), np.bincount(codes).astype(np.float64)


def clustered_error(values: npt.ArrayLike, clusters: Sequence[str]) -> float | None:
    """Standard error of the mean of `values` (n,) over whole clusters (linearised ratio of sums); None below two clusters.

    >>> clustered_error([1.0, 3.0], ["a", "b"])  # of clusters of one value: standard deviation / sqrt(n)
    1.0
    """
    sums, counts = cluster_sums(values, clusters)
    n = len(sums)
    if n < 2:
        return None
    residuals = sums - counts * sums.sum() / counts.sum()
    return float(np.sqrt(n / (n - 1) * np.square(residuals).sum()) / counts.sum())


def mean_interval(
    values: npt.ArrayLike, clusters: Sequence[str], confidence: float = CONFIDENCE, span: float | None = None
) -> Interval:
    """Interval of the mean of `values` (n,): Student's t with two pseudo-prompts at the largest deviation on either side.

    The pseudo-prompts (after Agresti and Min 2005) stand for the tail that few prompts did not show: without them an interval
    of rates near 1 misses three times as often as it says. Of values that are all equal the interval reaches to what as many
    equal prompts cannot exclude, (1 - level^(1/n)) x `span`, the width of the range of possible values (the rule of three).
    No interval with fewer than three clusters, or with equal values of an unknown range.

    >>> interval = mean_interval([1.0] * 10, [*"abcdefghij"], span=1.0)
    >>> round(interval.low, 3), round(interval.high, 3)  # 1 - 0.025^(1/10)
    (0.692, 1.308)
    """
    array = np.asarray(values, np.float64)
    sums, counts = cluster_sums(array, clusters)
    n, tail = len(sums), (1 - confidence) / 2
    if n < LEAST_CLUSTERS:
        return Interval(None, None, f"none: fewer than {LEAST_CLUSTERS} prompts")
    if np.ptp(array) == 0:
        return _of_equal_values(float(array[0]), n, tail, span)
    mean = sums.sum() / counts.sum()
    residuals = sums - counts * mean
    squares = np.square(residuals).sum() + 2 * np.square(residuals).max()
    reach = float(stats.t.ppf(1 - tail, n - 1) * np.sqrt(n / (n + 1) * squares) / counts.sum())
    return Interval(float(mean) - reach, float(mean) + reach, f"Student's t with pseudo-prompts, {n} prompts")


def _of_equal_values(value: float, n: int, tail: float, span: float | None) -> Interval:
    if span is None:
        return Interval(None, None, "none: all values equal, of an unknown range")
    reach = (1 - tail ** (1 / n)) * span
    return Interval(value - reach, value + reach, f"rule of three, {n} equal prompts")


def difference_interval(
    differences: npt.ArrayLike, clusters: Sequence[str], confidence: float = CONFIDENCE, span: float | None = None
) -> Interval:
    """Interval of a mean paired difference: `difference_bounds` at half of the level on either side."""
    return difference_bounds(differences, clusters, (1 - confidence) / 2, span)


def difference_bounds(differences: npt.ArrayLike, clusters: Sequence[str], level: float, span: float | None = None) -> Interval:
    """Two one-sided bounds of a mean paired difference (n,), each missed in at most a share `level` of draws.

    The bound is the smallest margin that the sign-flip test of "the difference is at least the margin" rejects: with m
    subtracted from every difference, flipped signs reach the observed sum just where the mean of the flipped clusters reaches
    m, so the bound is a quantile of the means of random subsets of clusters (Hartigan 1969). Two pseudo-prompts at plus and
    minus the largest |difference| stand for what few prompts did not show (Agresti and Min 2005). Differences that are all
    equal have the rule of three; fewer than three clusters, or too few for the level, have no bounds.

    >>> bounds = difference_bounds([1.0, 2.0, 3.0, 4.0], ["a", "b", "c", "d"], 0.05)
    >>> bounds.low, bounds.high  # the third of 63 means of subsets, with -4 and 4 as pseudo-prompts
    (-1.0, 4.0)
    """
    array = np.asarray(differences, np.float64)
    sums, counts = cluster_sums(array, clusters)
    n = len(sums)
    if n < LEAST_CLUSTERS:
        return Interval(None, None, f"none: fewer than {LEAST_CLUSTERS} prompts")
    if np.ptp(array) == 0:
        return _of_equal_values(float(array[0]), n, level, span)
    if n > MOST_FLIPPED:
        return mean_interval(array, clusters, 1 - 2 * level, span)
    size = counts.mean()
    largest = np.abs(sums / counts).max() * size
    means = _means_of_subsets(
        np.append(sums, [-largest, largest]), np.append(counts, [size, size]), max(RESAMPLES, math.ceil(LEAST_OUTSIDE / level))
    )
    rank = int(level * (len(means) + 1))
    if rank < 1:
        return Interval(None, None, f"none: {n} prompts are too few for a confidence of {1 - level:.3g}")
    low, high = np.partition(means, [rank - 1, len(means) - rank])[[rank - 1, len(means) - rank]]
    return Interval(float(low), float(high), f"inverted sign flips with pseudo-prompts, {n} prompts")


def _means_of_subsets(sums: Array, counts: Array, most: int) -> Array:
    """Means of the values in every non-empty subset of n clusters with these sums and numbers (n,), or in `most` random ones:
    half of them drawn, and the same with the last two clusters exchanged, so that negated differences have negated bounds."""
    n = len(sums)
    if 2**n <= most:
        subsets = np.array([[i >> j & 1 for j in range(n)] for i in range(1, 2**n)], np.float64)
        return np.asarray(subsets @ sums / (subsets @ counts))
    exchanged = [*range(n - 2), n - 1, n - 2]
    sides = np.stack([sums, counts, sums[exchanged], counts[exchanged]], 1)
    totals = np.concatenate([part.astype(np.float64) @ sides for part in unpacked(_drawn_subsets(n, most // 2), n, AT_A_TIME)])
    totals = totals[totals[:, 1] > 0]
    return np.concatenate([totals[:, 0] / totals[:, 1], totals[:, 2] / totals[:, 3]])


@lru_cache(maxsize=16)
def _drawn_subsets(n: int, number: int) -> Bits:
    """Random subsets of n clusters, a row each, packed."""
    rng = np.random.default_rng(0)
    return packed(rng.integers(0, 2, (stop - start, n)).astype(bool) for start, stop in parts_of(number, n, AT_A_TIME))


def sign_flip_p(
    differences: npt.ArrayLike, clusters: Sequence[str], seed: int = 0, permutations: int = RESAMPLES
) -> float | None:
    """Two-sided p of a mean paired difference of 0: signs of whole clusters are flipped; twice the smaller tail, never 0.

    Over all 2^n sign patterns, where these are no more than `permutations`, else over so many drawn ones, each tail being
    (c + 1) / (P + 1): the test, and the very draws, of `scipy.stats.permutation_test`. None with fewer than two clusters.

    >>> sign_flip_p([1.0, 2.0, 3.0], ["a", "b", "c"])  # 2 of 8 sign patterns reach |6|
    0.25
    """
    sums, _ = cluster_sums(differences, clusters)
    if len(sums) < 2:
        return None
    if not sums.any():
        return 1.0
    exact = 2 ** len(sums) <= permutations
    below = above = 0 if exact else 1
    reach, observed = ROUNDING * np.abs(sums).sum(), sums.sum()
    for flipped in _all_flips(len(sums)) if exact else _drawn_flips(len(sums), permutations, seed):
        changed = observed - 2 * (flipped.astype(np.float64) @ sums)
        below += int((changed <= observed + reach).sum())
        above += int((changed >= observed - reach).sum())
    return min(1.0, 2 * min(below, above) / (2 ** len(sums) if exact else permutations + 1))


def _all_flips(n: int) -> Iterator[npt.NDArray[Any]]:
    """Every subset of n clusters (2^n, n), 0 or 1."""
    yield np.arange(2**n)[:, None] >> np.arange(n) & 1


def _drawn_flips(n: int, number: int, seed: int) -> Iterator[npt.NDArray[Any]]:
    """Random subsets of n clusters, 0 or 1, a row each, in parts. The last bit of every 32 is what numpy's `permuted` exchanges
    pairs by, as SciPy uses it, at a tenth of the time."""
    rng = np.random.default_rng(seed)
    for start, stop in parts_of(number, n, AT_A_TIME):
        yield rng.integers(0, 2**32, (stop - start, n), np.uint32) & 1 ^ 1


def least_swap_p(clusters: int, permutations: int = RESAMPLES) -> float:
    """The smallest two-sided p that flipping or swapping whole clusters can give: 2 of 2^clusters patterns.

    >>> least_swap_p(3), least_swap_p(20, permutations=999)
    (0.25, 0.002)
    """
    return min(1.0, 2 / min(2.0 ** min(clusters, 60), permutations + 1))
