"""Intervals and tests, pure: numpy and scipy. The prompt is the unit; seeds and shapes of one prompt are not new draws."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.distances import Index

Array = npt.NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A confidence interval, or None at both ends with the reason why there is none."""

    low: float | None
    high: float | None
    method: str


def _cluster_sums(values: Array, clusters: Sequence[str]) -> tuple[Array, Array]:
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(codes, values).astype(np.float64), np.bincount(codes).astype(np.float64)


def mean_interval(values: npt.ArrayLike, clusters: Sequence[str], seed: int = 0) -> Interval:
    """95 % interval of the mean of `values` (n,), whole clusters resampled (BCa; Efron 1987).

    Fewer than two clusters give no interval; values that are all equal give the point.
    """
    array = np.asarray(values, np.float64)
    sums, counts = _cluster_sums(array, clusters)
    if len(sums) < 2:
        return Interval(None, None, "none: fewer than 2 prompts")
    if np.ptp(array) == 0:
        return Interval(float(array[0]), float(array[0]), "all values equal")

    def mean(s: Array, c: Array, axis: int = -1) -> Array:
        return np.asarray(s.sum(axis) / c.sum(axis))

    # BCa has no acceleration when leaving any one cluster out changes nothing; then percentiles have to do.
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            low, high = stats.bootstrap(
                (sums, counts),
                mean,
                paired=True,
                vectorized=True,
                n_resamples=RESAMPLES,
                confidence_level=CONFIDENCE,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite(low) and np.isfinite(high):
            break
    return Interval(float(low), float(high), f"cluster bootstrap {method}, {len(sums)} prompts")


def sign_flip_p(differences: npt.ArrayLike, clusters: Sequence[str], seed: int = 0) -> float | None:
    """Two-sided p of a mean paired difference of 0: signs of whole clusters are flipped; (c + 1) / (P + 1), never 0.

    None with fewer than two clusters.
    """
    sums, _ = _cluster_sums(np.asarray(differences, np.float64), clusters)
    if len(sums) < 2:
        return None
    result = stats.permutation_test(
        (sums,),
        lambda x, axis=-1: x.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def jackknife_interval(leave_one_out: npt.ArrayLike, value: float) -> Interval:
    """95 % interval of a statistic from its leave-one-cluster-out values, Student's t."""
    values = np.asarray(leave_one_out, np.float64)
    n = len(values)
    if n < 2:
        return Interval(None, None, "none: fewer than 2 prompts")
    error = float(np.sqrt((n - 1) / n * np.square(values - values.mean()).sum()))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    return Interval(value - reach, value + reach, f"jackknife, {n} prompts")


Distance = Callable[[Index, Index], float]  # rows of a joint Gram matrix to a distance


@dataclass(frozen=True)
class SetDifference:
    """Distance of B to the reference minus that of A, with its interval and the p of no difference."""

    difference: float
    interval: Interval
    p: float | None


def paired_set_difference(
    a: Index,
    b: Index,
    reference: Index,
    clusters: Sequence[str],
    distance: Distance,
    permutations: int = 500,
    seed: int = 0,
    least: int = 2,
) -> SetDifference:
    """Compare two sets that answer the same cases, each against one reference set.

    `a[i]` and `b[i]` are rows of one case of cluster `clusters[i]`. The interval is a paired jackknife over clusters; p
    comes from swapping A and B whole clusters at a time (Noreen 1989), (c + 1) / (P + 1). `least` rows are needed for a
    distance; clusters that cannot be left out for that are not.
    """
    difference = distance(b, reference) - distance(a, reference)
    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        return SetDifference(difference, Interval(None, None, "none: fewer than 2 prompts"), None)
    left_out = [
        distance(b[codes != c], reference) - distance(a[codes != c], reference)
        for c in range(len(names))
        if (codes != c).sum() >= least
    ]
    rng = np.random.default_rng(seed)
    as_far = 0
    for _ in range(permutations):
        swap = rng.integers(0, 2, len(names)).astype(bool)[codes]
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        as_far += abs(distance(second, reference) - distance(first, reference)) >= abs(difference)
    interval = Interval(None, None, "none: too few cases to leave one prompt out")
    if len(left_out) >= 2:
        interval = jackknife_interval(left_out, difference)
    return SetDifference(difference, interval, (as_far + 1) / (permutations + 1))


def two_sample_p(a: Index, b: Index, distance: Distance, permutations: int = 200, seed: int = 0) -> float:
    """One-sided p that two sets have the same source: labels are permuted; (c + 1) / (P + 1)."""
    observed, joint = distance(a, b), np.concatenate([a, b])
    rng = np.random.default_rng(seed)
    as_far = 0
    for _ in range(permutations):
        mixed = rng.permutation(joint)
        as_far += distance(mixed[: len(a)], mixed[len(a) :]) >= observed
    return (as_far + 1) / (permutations + 1)


def split_halves(rows: Index, size: int, distance: Distance, splits: int = 20, seed: int = 0) -> tuple[float, int]:
    """Mean distance of two disjoint random parts of one set, and the size of the parts: at most `size`, at most half."""
    part = min(size, len(rows) // 2)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(splits):
        mixed = rng.permutation(rows)
        values.append(distance(mixed[:part], mixed[part : 2 * part]))
    return float(np.mean(values)), part
