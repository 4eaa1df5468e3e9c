"""Distances between sets of feature vectors, from their joint Gram matrix. Pure numpy, float64.

Given the Gram matrix of all vectors, the cost of the distance of two subsets does not depend on the feature width:
permutations, leave-one-out values and split halves are cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from sora_eval.stats.natural_scene import clip_distances
from sora_eval.stats.set_statistic import SetStatistic

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


def gram(*sets: npt.ArrayLike) -> tuple[Array, list[Index]]:
    """Joint Gram matrix (N, N) of sets of vectors (n_i, D), N = sum of n_i, and the row numbers (n_i,) of each set.

    Raises ValueError for sets of unequal width, arrays that are not (n, D), and NaN or infinite values.

    >>> k, (a, b) = gram([[1, 0], [0, 2]], [[3, 0]])
    >>> k.tolist(), a.tolist(), b.tolist()
    ([[1.0, 0.0, 3.0], [0.0, 4.0, 0.0], [3.0, 0.0, 9.0]], [0, 1], [2])
    """
    arrays = [_vectors(s) for s in sets]
    if len({a.shape[1] for a in arrays}) > 1:
        raise ValueError(f"sets differ in width: {', '.join(str(a.shape) for a in arrays)}")
    joint = np.concatenate(arrays)
    ends = np.cumsum([len(a) for a in arrays])
    return joint @ joint.T, [np.arange(end - len(a), end) for a, end in zip(arrays, ends, strict=True)]


def _vectors(values: npt.ArrayLike) -> Array:
    array = np.asarray(values, np.float64)
    if array.ndim != 2:
        raise ValueError(f"expected vectors of shape (n, D), found {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("features hold NaN or infinite values")
    return array


def ordered(values: npt.ArrayLike) -> Array:
    """Vectors (n, D) in lexicographic order, so that no rounding of a sum depends on the order in which clips came.

    >>> ordered([[2, 0], [1, 5], [1, 3]]).tolist()
    [[1.0, 3.0], [1.0, 5.0], [2.0, 0.0]]
    """
    array = np.asarray(values, np.float64)
    return array[np.lexsort(array.T[::-1])] if array.size else array


def frechet_from_gram(k: Array, a: Index, b: Index, ddof: int = 1) -> float:
    """Fréchet distance of two Gaussians fitted to rows `a` and `b`: |mu_a - mu_b|^2 + tr(Sa + Sb - 2 sqrt(Sa Sb)).

    With centred matrices scaled by 1/sqrt(n - ddof), tr sqrt(Sa Sb) is the nuclear norm of A B^T, whose singular values
    a Gram block gives: no matrix square root, and nothing is added to a covariance. Squared units of the vectors, >= 0.
    Raises ValueError for fewer than two rows per set.
    """
    return float(frechet_many_from_gram(k, a[None], b, ddof)[0])


def frechet_many_from_gram(k: Array, sets: Index, b: Index, ddof: int = 1) -> Array:
    """`frechet_from_gram` of each row of `sets` (p, n) with `b` (m,): (p,). Shared terms are computed once."""
    n, m = sets.shape[1], len(b)
    if min(n, m) < 2:
        raise ValueError(f"a Fréchet distance needs at least 2 vectors per set, found {n} and {m}")
    counts = np.zeros((len(sets), len(k)))
    np.add.at(counts, (np.arange(len(sets))[:, None], sets), 1.0)
    sums = counts @ k
    within_a, within_b = (sums * counts).sum(1) / n**2, k[np.ix_(b, b)].mean()
    mean = within_a + within_b - 2 * sums[:, b].mean(1) / n
    spread_a = (counts @ np.diag(k) - n * within_a) / (n - ddof)
    spread_b = (np.trace(k[np.ix_(b, b)]) - m * within_b) / (m - ddof)
    cross = k[:, b] - k[:, b].mean(1, keepdims=True)
    overlap = np.array([np.linalg.svd(c - c.mean(0), compute_uv=False).sum() for c in (cross[a] for a in sets)])
    distance = mean + spread_a + spread_b - 2 * overlap / np.sqrt((n - ddof) * (m - ddof))
    return np.asarray(np.maximum(distance, 0.0))  # rounding alone can pass below 0


def frechet_distance(a: npt.ArrayLike, b: npt.ArrayLike, ddof: int = 1, ridge: float = 0.0) -> float:
    """Fréchet distance (Dowson & Landau 1982; Heusel et al. 2017) of vectors (n, D) and (m, D); squared units, >= 0.

    `ridge` is added to the diagonals of both covariances: one protocol does so, the others add nothing. Raises ValueError for
    unequal widths, fewer than two vectors per set, and NaN or infinite values.

    Of two Gaussians on a line: (difference of means)^2 + (difference of standard deviations)^2.

    >>> frechet_distance([[-1.0], [1.0]], [[3.0], [9.0]], ddof=0)  # means 0 and 6, standard deviations 1 and 3
    40.0
    """
    first, second = _vectors(a), _vectors(b)
    if not ridge and min(len(first), len(second)) <= first.shape[1]:
        centre = np.concatenate([first, second]).mean(0)  # it cancels in the distance, and rounding is smaller
        k, (rows_a, rows_b) = gram(first - centre, second - centre)
        return frechet_from_gram(k, rows_a, rows_b, ddof)
    # More vectors than dimensions: the symmetric eigenvalue form is smaller. Negative rounding is clipped; no epsilon is added.
    diagonal = ridge * np.eye(first.shape[1])
    sa, sb = (np.atleast_2d(np.cov(x, rowvar=False, ddof=ddof)) + diagonal for x in (first, second))
    values, vectors = np.linalg.eigh(sa)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    overlap = np.sqrt(np.clip(np.linalg.eigvalsh(root @ sb @ root), 0, None)).sum()
    mean = np.square(first.mean(0) - second.mean(0)).sum()
    return float(max(mean + np.trace(sa) + np.trace(sb) - 2 * overlap, 0.0))


def cubic_kernel(k: Array, width: int) -> Array:
    """(x.y / width + 1)^3 (Binkowski et al. 2018) of inner products `k` of uncentred vectors: a common shift changes it."""
    return np.asarray((k / width + 1.0) ** 3)


def gaussian_kernel(k: Array, reference: Index) -> Array:
    """exp(-|x - y|^2 / (2 s^2)) of inner products `k`; s is the median distance of two rows of `reference` (m,), m >= 2, the
    median heuristic (Gretton et al. 2012). Where half of these are one vector, s is the mean distance, or 1."""
    squared = np.maximum(np.diag(k)[:, None] + np.diag(k) - 2 * k, 0.0)
    distances = np.sqrt(squared[np.ix_(reference, reference)][np.triu_indices(len(reference), 1)])
    bandwidth = float(np.median(distances)) or float(distances.mean()) or 1.0
    return np.asarray(np.exp(-squared / (2 * bandwidth**2)))


def kernel_of(spec: SetStatistic, k: Array, width: int, reference: Index) -> Array:
    """The kernel matrix of an MMD from inner products (N, N) of vectors of `width` dimensions."""
    return cubic_kernel(k, width) if spec.kind == "mmd-cubic" else gaussian_kernel(k, reference)


def mmd(kernel: Array, a: Index, b: Index) -> float:
    """Unbiased MMD^2 of rows `a` (n,) and `b` (m,) of a kernel matrix; may be negative. Raises ValueError below two rows."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a kernel distance needs at least 2 vectors per set, found {len(a)} and {len(b)}")
    kaa, kbb, kab = kernel[np.ix_(a, a)], kernel[np.ix_(b, b)], kernel[np.ix_(a, b)]
    n, m = len(a), len(b)
    within_a = (kaa.sum() - np.trace(kaa)) / (n * (n - 1))
    within_b = (kbb.sum() - np.trace(kbb)) / (m * (m - 1))
    return float(within_a + within_b - 2 * kab.mean())


def _mmd_many(kernel: Array, sets: Index, b: Index) -> Array:
    """`mmd` of each row of `sets` (p, n) with `b` (m,): (p,), without what `b` alone adds being computed again."""
    n, m = sets.shape[1], len(b)
    if min(n, m) < 2:
        raise ValueError(f"a kernel distance needs at least 2 vectors per set, found {n} and {m}")
    to_b, kbb, diagonal = kernel[:, b].sum(1), kernel[np.ix_(b, b)], np.diag(kernel)
    counts = np.zeros((len(sets), len(kernel)))
    np.add.at(counts, (np.arange(len(sets))[:, None], sets), 1.0)
    within_a = (np.einsum("pi,pi->p", counts @ kernel, counts) - counts @ diagonal) / (n * (n - 1))
    within_b = (kbb.sum() - np.trace(kbb)) / (m * (m - 1))
    return np.asarray(within_a + within_b - 2 * (counts @ to_b) / (n * m))


def gaussian_distance(a: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Unbiased MMD^2 with a Gaussian kernel of vectors (n, D) and reference vectors (m, D). 0 on average for equal sources.

    >>> round(gaussian_distance([[5.0], [5.0]], [[0.0], [1.0]]), 4)  # 1 + exp(-1/2) - (exp(-25/2) + exp(-8)), bandwidth 1
    1.6062
    """
    k, (rows_a, rows_b) = gram(a, reference)
    return mmd(gaussian_kernel(k, rows_b), rows_a, rows_b)


def kernel_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Kernel video distance: unbiased MMD^2 of vectors (n, D) and (m, D). Unbiased: 0 on average for equal sources.

    >>> kernel_distance([[1.0], [1.0]], [[0.0], [0.0]])  # (1 + 1)^3 + (0 + 1)^3 - 2 (0 + 1)^3
    7.0
    """
    k, (rows_a, rows_b) = gram(a, b)
    return mmd(cubic_kernel(k, np.shape(a)[1]), rows_a, rows_b)


@dataclass(frozen=True)
class Statistic:
    """A number of two sets of rows (generated, real) of one joint matrix; each set needs `least` rows.

    `function` maps row numbers (n,) and (m,) to the number; `together` maps (p, n) and (m,) to (p,), faster than one by one.
    """

    function: Callable[[Index, Index], float]
    least: int = 2
    together: Callable[[Index, Index], Array] | None = None

    def __call__(self, a: Index, b: Index) -> float:
        return self.function(a, b)

    def many(self, sets: Index, b: Index) -> Array:
        """The numbers of each row of `sets` (p, n) with `b`, (p,)."""
        return self.together(sets, b) if self.together else np.array([self.function(a, b) for a in sets])


def set_statistic(spec: SetStatistic, *sets: npt.ArrayLike) -> tuple[Statistic, list[Index]]:
    """The statistic `spec` as a function of rows of the joined sets (n_i, D), and the rows of each set; the last set is the
    reference.

    Terms that all subsets share are computed once, so permutations and jackknives are cheap. Raises ValueError as `gram` does.
    """
    if spec.is_mean:
        return _mean_of_clips("niqe" if spec.kind == "niqe" else "natural-scene", *sets)
    k, rows = gram(*sets)
    if spec.kind in ("mmd-cubic", "mmd-gaussian"):
        kernel = kernel_of(spec, k, np.shape(sets[0])[1], rows[-1])
        return Statistic(lambda a, b: mmd(kernel, a, b), together=lambda s, b: _mmd_many(kernel, s, b)), rows
    if spec.kind == "frechet":
        ddof, ridge = spec.ddof, spec.ridge
        if not ridge:
            return Statistic(
                lambda a, b: frechet_from_gram(k, a, b, ddof), together=lambda s, b: frechet_many_from_gram(k, s, b, ddof)
            ), rows
        # A ridge needs covariances. Outside the span of the vectors it cancels, so coordinates within that span are enough.
        joined = np.concatenate([_vectors(s) for s in sets])
        inside = joined @ np.linalg.svd(joined - joined.mean(0), full_matrices=False)[2].T
        return Statistic(lambda a, b: frechet_distance(inside[a], inside[b], ddof, ridge)), rows
    neighbours, recall = spec.neighbours, spec.kind == "recall"
    joined = np.concatenate([_vectors(s) for s in sets])
    distances = cdist(joined, joined)
    return Statistic(
        lambda a, b: _covered(distances, *((b, a) if recall else (a, b)), neighbours),
        neighbours + 1,
        (lambda s, b: _recall_many(distances, s, b, neighbours)) if recall else None,
    ), rows


def _mean_of_clips(kind: Literal["natural-scene", "niqe"], *sets: npt.ArrayLike) -> tuple[Statistic, list[Index]]:
    joined = np.concatenate([_vectors(s) for s in sets])
    ends = np.cumsum([len(np.asarray(s)) for s in sets])
    rows = [np.arange(end - len(np.asarray(s)), end) for s, end in zip(sets, ends, strict=True)]

    @cache
    def scores(reference: bytes) -> Array:
        return clip_distances(kind, joined, joined[np.frombuffer(reference, np.intp)])

    def together(many: Index, b: Index) -> Array:
        return np.asarray(scores(np.asarray(b, np.intp).tobytes())[many].mean(1))

    return Statistic(lambda a, b: float(together(a[None], b)[0]), 1, together), rows


def precision_recall(generated: npt.ArrayLike, real: npt.ArrayLike, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019) of vectors (n, D) and (m, D), each in [0, 1].

    Precision is the share of generated vectors inside a ball around a real one whose radius is the distance to its
    k-th neighbour in its own set; recall is the same with the sets exchanged. Raises ValueError for k vectors or fewer in
    either set.

    >>> precision_recall([[0.0], [1.0], [9.0]], [[0.0], [1.0], [2.0]], k=1)  # 9 is outside; the ball around 1 holds all
    (0.6666666666666666, 1.0)
    """
    precision, (a, b) = set_statistic(SetStatistic(kind="precision", neighbours=k), generated, real)
    return precision(a, b), precision(b, a)


def _covered(distances: Array, a: Index, b: Index, k: int) -> float:
    """Share of rows `a` that lie in a ball around one of `b` with the radius of its k-th neighbour among `b`.

    `distances` (N, N) are those of all rows.
    """
    if min(len(a), len(b)) <= k:
        raise ValueError(f"precision and recall need more than k = {k} vectors per set, found {len(a)} and {len(b)}")
    radius = np.sort(distances[np.ix_(b, b)], 1)[:, k]  # column 0 is the vector itself
    return float((distances[np.ix_(a, b)] <= radius).any(1).mean())


def _recall_many(distances: Array, sets: Index, real: Index, k: int) -> Array:
    """The share of rows `real` (m,) that `_covered` finds in the balls of each row of `sets` (p, n): (p,)."""
    if min(sets.shape[1], len(real)) <= k:
        raise ValueError(f"precision and recall need more than k = {k} vectors per set, found {sets.shape[1]} and {len(real)}")
    out, to_real = np.empty(len(sets)), np.ascontiguousarray(distances[:, real])
    for start in range(0, len(sets), 64):  # in parts that stay in the processor's cache
        part = sets[start : start + 64]
        radius = np.partition(distances[part[:, :, None], part[:, None, :]], k, axis=2)[:, :, k]
        out[start : start + 64] = (to_real[part] <= radius[:, :, None]).any(1).mean(1)
    return out
