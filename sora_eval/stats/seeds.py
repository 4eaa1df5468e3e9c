"""Changes between two sets of seeds: the control variate of shared seeds, and permuted labels. Pure.

A table has a row per prompt and shape and a column per seed, NaN where there is no score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sora_eval.stats.intervals import Array
from sora_eval.stats.packed_draws import AT_A_TIME, Bits, packed, parts_of, unpacked


@dataclass(frozen=True)
class Shared:
    """How shared seeds were used: `beta` is the weight of the baseline's score of the same seed, between 0 (its other seeds
    alone; 1 / K is the plain mean) and 1 (that score alone); `correlation` is that of the noise of a seed in both, NaN where it
    cannot be told."""

    beta: float
    correlation: float


def seed_changes(base: Array, new: Array, shared: Sequence[tuple[int, int]]) -> tuple[Array, Shared | None]:
    """New minus base of every row, (g,); `base` is (g, K), `new` (g, k), `shared` the columns of equal seeds in both.

    Without shared seeds the difference of means. Where every seed of both is shared, the mean of the paired differences. Else a
    control variate: from a shared seed's score, beta times the baseline's score of that seed and 1 - beta times the mean of its
    other seeds are taken off; beta is the slope of the former on the latter over all rows, cut to 0 .. 1.
    """
    if not shared:
        return np.nanmean(new, 1) - np.nanmean(base, 1), None
    a, b = (np.array(columns) for columns in zip(*shared, strict=True))
    if base.shape[1] == new.shape[1] == len(shared):
        both = new[:, b] - base[:, a]
        return np.nanmean(both, 1), Shared(1.0, _correlation(_deviations(base[:, a]), _deviations(new[:, b])))
    others = _mean_of_others(base)[:, a]
    of_seed, of_new = base[:, a] - others, new[:, b] - others
    known = np.isfinite(of_seed) & np.isfinite(of_new)
    x, y = of_seed[known], of_new[known]
    spread = np.square(x - x.mean()).sum() if len(x) > 1 else 0.0
    beta = float(np.clip(((x - x.mean()) * (y - y.mean())).sum() / spread, 0.0, 1.0)) if spread > 0 else 0.0
    mean = np.nanmean(base, 1, keepdims=True)
    expected = np.broadcast_to(mean, new.shape).copy()
    control = others + beta * of_seed
    expected[:, b] = np.where(np.isfinite(control), control, mean)
    return np.nanmean(new - expected, 1), Shared(beta, _correlation(of_seed, of_new))


def _mean_of_others(values: Array) -> Array:
    """For every entry the mean of the others in its row; NaN where there is none."""
    known = np.isfinite(values)
    counts = known.sum(1, keepdims=True) - known
    sums = np.where(known, values, 0.0).sum(1, keepdims=True) - np.where(known, values, 0.0)
    return np.asarray(np.divide(sums, counts, out=np.full(values.shape, np.nan), where=counts > 0))


def _deviations(values: Array) -> Array:
    return np.asarray(values - np.nanmean(values, 1, keepdims=True))


def _correlation(a: Array, b: Array) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    x, y = a[known], b[known]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def permuted_labels_p(base: Array, new: Array, clusters: Sequence[str], permutations: int) -> float:
    """Two-sided p that seeds of `base` (g, K) and `new` (g, k) have one source: which k of a cluster's K + k columns are new is
    permuted, for all its rows alike. (c + 1) / (P + 1).

    It finds what flipped signs cannot: a collapse of few prompts changes few signs, but lies outside what their seeds do.
    """
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    joint, k = np.concatenate([new, base], 1), new.shape[1]
    known = np.isfinite(joint)
    counts = np.stack([np.bincount(codes, column) for column in known.T.astype(np.float64)], 1)
    sums = np.stack([np.bincount(codes, column) for column in np.where(known, joint, 0.0).T], 1)
    values = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    weights = np.bincount(codes) / len(codes)
    of, width = _statistic(values, weights, k), values.size
    reached, observed = 0, abs(of(np.arange(width)[None] % values.shape[1] < k)[0])
    for is_new in unpacked(_labels(*values.shape, k, permutations), width, AT_A_TIME):
        reached += int((np.abs(of(is_new.view(bool))) >= observed - 1e-12).sum())
    return (reached + 1) / (permutations + 1)


def _statistic(values: Array, weights: Array, k: int) -> Callable[[npt.NDArray[np.bool_]], Array]:
    """The mean over clusters of new minus base, (p,), as a function of labels (p, c s) of `values` (c, s)."""
    clusters, columns = values.shape
    if not np.isfinite(values).all():
        return lambda is_new: _difference(is_new.reshape(-1, clusters, columns), values) @ weights
    # With every score there it is linear: each new one counts for 1 / k + 1 / K, less all of them over K.
    rest, weighted = columns - k, weights[:, None] * values
    new, all_base = weighted.ravel() * (1 / k + 1 / rest), weighted.sum() / rest
    return lambda is_new: np.asarray(is_new.astype(np.float64) @ new - all_base)


def _difference(is_new: npt.NDArray[np.bool_], values: Array) -> Array:
    """Mean of the new columns minus that of the others, (p, c), of (p, c, s) labels; 0 where either side has no score."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    n = (is_new & known).sum(2)
    of_new = np.einsum("pcs,cs->pc", is_new, filled)
    rest = known.sum(1) - n
    return np.where((n > 0) & (rest > 0), of_new / np.maximum(n, 1) - (filled.sum(1) - of_new) / np.maximum(rest, 1), 0.0)


@lru_cache(maxsize=8)
def _labels(clusters: int, columns: int, k: int, permutations: int) -> Bits:
    """Random labels (p, clusters x columns), `k` of each cluster's columns true, packed."""
    rng, width = np.random.default_rng(0), clusters * columns
    shapes = ((stop - start, clusters, columns) for start, stop in parts_of(permutations, width, AT_A_TIME))
    return packed((rng.random(shape).argsort(2) < k).reshape(-1, width) for shape in shapes)
