"""The effect of one clip on a set distance: the distances without it, all from one Gram matrix. Pure numpy.

Leaving one vector out subtracts a rank-one term from a covariance. The trace of the matrix root then has a closed integral,
so n leave-one-out values cost one singular value decomposition and two products instead of n decompositions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sora_eval.stats.distances import Array, Index, gram, kernel_of, set_statistic
from sora_eval.stats.set_statistic import SetStatistic

# The integrand decays like exp(-|x| / 2) and is analytic for |Im x| < pi; with this step the trapezoid rule errs by
# exp(-2 pi^2 / step) = 7e-18, and cutting it off at this reach by exp(-23) = 1e-10 of the spread of one clip.
STEP, REACH = 0.5, 46.0


def attribution(spec: SetStatistic, generated: npt.ArrayLike, real: npt.ArrayLike) -> Array:
    """Decrease of a distance when each generated clip is left out: (n,), in the unit of the distance.

    `generated` is (n, D) with n >= 3, `real` (m, D); fewer raise ValueError. A large positive value marks a clip that makes
    the set worse. A set of n - 1 clips has a larger bias of the Fréchet distance, so its values are below 0 on average:
    compare them with each other.
    """
    a, b = np.asarray(generated, np.float64), np.asarray(real, np.float64)
    if len(a) < 3:
        raise ValueError(f"leave-one-out values need at least 3 generated clips, found {len(a)}")
    statistic, (rows_a, rows_b) = set_statistic(spec, a, b)
    value = statistic(rows_a, rows_b)
    if spec.is_mean:
        scores = np.array([statistic(rows_a[i : i + 1], rows_b) for i in range(len(a))])
        return (scores - value) / (len(a) - 1)
    if spec.kind == "frechet" and not spec.ridge:
        centre = np.concatenate([a, b]).mean(0)
        k, (rows_a, rows_b) = gram(a - centre, b - centre)
        return value - frechet_leave_one_out(k, rows_a, rows_b, spec.ddof)
    if spec.is_distance and spec.kind != "frechet":
        k, (rows_a, rows_b) = gram(a, b)
        return value - mmd_leave_one_out(kernel_of(spec, k, a.shape[1], rows_b), rows_a, rows_b)
    return value - np.array([statistic(np.delete(rows_a, i), rows_b) for i in range(len(a))])


def frechet_leave_one_out(k: Array, a: Index, b: Index, ddof: int = 1) -> Array:
    """Fréchet distances of `a` (n,) without each of its rows to `b` (m,), both row numbers of the Gram matrix `k`: (n,).

    `frechet_from_gram` gives the same values one by one.
    """
    n, m = len(a), len(b)
    kaa, kbb, kab = k[np.ix_(a, a)], k[np.ix_(b, b)], k[np.ix_(a, b)]
    squares = np.diag(kaa) - 2 * kaa.mean(1) + kaa.mean()  # |a_i - mean|^2
    towards = (kaa.mean(1) - kaa.mean()) - (kab.mean(1) - kab.mean())  # (a_i - mean) . (mean_a - mean_b)
    means = kaa.mean() + kbb.mean() - 2 * kab.mean() - 2 * towards / (n - 1) + squares / (n - 1) ** 2
    spread_a = (squares.sum() - n / (n - 1) * squares) / (n - 1 - ddof)
    spread_b = (np.trace(kbb) - m * kbb.mean()) / (m - ddof)
    centred = kab - kab.mean(0) - kab.mean(1, keepdims=True) + kab.mean()
    overlaps = _nuclear_norms_without_a_row(centred) / np.sqrt((n - 1 - ddof) * (m - ddof))
    return np.asarray(np.maximum(means + spread_a + spread_b - 2 * overlaps, 0.0))


def _nuclear_norms_without_a_row(centred: Array) -> Array:
    """Nuclear norms of a centred (n, m) matrix without row i, centred again.

    C^T C loses n / (n - 1) c_i c_i^T. From sqrt(x) = 1/pi * integral over t > 0 of (1 / sqrt(t) - sqrt(t) / (x + t)) dt and
    the trace of a rank-one update of a resolvent, the norm falls by 1/pi * integral of sqrt(t) rho q2 / (1 - rho q1) dt with
    q1 = c^T (C^T C + t)^-1 c and q2 = c^T (C^T C + t)^-2 c; here t = exp(x).
    """
    n = len(centred)
    rho = n / (n - 1)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    nonzero = values > values[0] * 1e-12 if len(values) and values[0] > 0 else np.zeros(len(values), bool)
    if not nonzero.any():
        return np.zeros(n)
    scale = values[0]
    squares = np.square(values[nonzero] / scale)
    weights = np.square(left[:, nonzero])  # (n, r); c_i^2 in the right singular basis is squares * weights
    t = np.exp(np.arange(np.log(squares[-1]) - REACH, REACH, STEP))  # (Q,)
    resolvent = 1.0 / (squares[:, None] + t)  # (r, Q)
    q2 = weights @ (squares[:, None] * np.square(resolvent))
    # 1 - rho q1, without the cancellation of its two terms for small t. Where one clip alone spans a direction, its first term
    # is 0 up to rounding, and the square root of that rounding would be visible.
    alone = 1.0 - rho * weights.sum(1, keepdims=True)
    alone[alone < 4 * n * np.finfo(np.float64).eps] = 0.0
    rest = alone + rho * t * (weights @ resolvent)
    fall = STEP / np.pi * (t**1.5 * rho * q2 / rest).sum(1)
    return np.asarray(np.maximum(values.sum() - scale * fall, 0.0))


def mmd_leave_one_out(kernel: Array, a: Index, b: Index) -> Array:
    """Unbiased kernel distances of `a` (n,) without each of its rows to `b` (m,), both row numbers of `kernel`: (n,)."""
    n, m = len(a), len(b)
    kaa, kbb, kab = kernel[np.ix_(a, a)], kernel[np.ix_(b, b)], kernel[np.ix_(a, b)]
    rows = kaa.sum(1) - np.diag(kaa)
    within_a = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
    within_b = (kbb.sum() - np.trace(kbb)) / (m * (m - 1))
    across = (kab.sum() - kab.sum(1)) / ((n - 1) * m)
    return np.asarray(within_a + within_b - 2 * across)
