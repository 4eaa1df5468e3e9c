"""How far clips are from a Gaussian of patch features of reference clips, as in NIQE (Mittal et al. 2013). Pure numpy.

A clip is one row: width, height, number of its patches, and mean and covariance of their features. Rows of one reference set
are pooled by size, so clips of several sizes each have the Gaussian of their own.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

HEAD = 3  # width, height, number of patches
RIDGE = 1e-3  # squared logarithms of grey levels: a thirtieth of a level in a flat patch, which rounding to bytes moves too
CUTOFF = 1e-5  # of the largest eigenvalue of a correlation matrix: rows are float32, and their rounding can reach 2e-6


def packed(width: int, height: int, features: npt.ArrayLike) -> Array:
    """A row (3 + d + d (d + 1) / 2,) of the features (patches, d) of one clip."""
    values = np.asarray(features, np.float64)
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    upper = covariance[np.triu_indices(len(covariance))]
    return np.concatenate([[width, height, len(values)], values.mean(0), upper])


def unpacked(rows: npt.ArrayLike) -> tuple[Array, Array, Array, Array]:
    """Sizes (n, 2), numbers of patches (n,), means (n, d) and covariances (n, d, d) of rows. Raises ValueError for others."""
    values = np.asarray(rows, np.float64)
    d = (math.isqrt(9 + 8 * max(values.shape[1] - HEAD, 0)) - 3) // 2
    if d < 1 or HEAD + d + d * (d + 1) // 2 != values.shape[1]:
        raise ValueError(f"vectors of {values.shape[1]} numbers are no statistics of patches")
    covariances = np.empty((len(values), d, d))
    upper = np.triu_indices(d)
    covariances[:, upper[0], upper[1]] = covariances[:, upper[1], upper[0]] = values[:, HEAD + d :]
    return values[:, :2], values[:, 2], values[:, HEAD : HEAD + d], covariances


def pooled(counts: Array, means: Array, covariances: Array) -> tuple[Array, Array]:
    """Mean (d,) and covariance (d, d) of all patches together, of which there are at least 2."""
    total = counts.sum()
    mean = counts @ means / total
    away = means - mean
    inside = np.einsum("n,nij->ij", counts - 1, covariances)
    return mean, (inside + np.einsum("n,ni,nj->ij", counts, away, away)) / (total - 1)


def divergences(means: Array, covariances: Array, mean: Array, covariance: Array) -> Array:
    """Kullback-Leibler divergence in nats of Gaussians (n, d), (n, d, d) from one, (n,): how surprising a patch of theirs is on
    average, as one of its. All covariances have `RIDGE` added.

    The spread counts beside the mean: under blur the patches of a clip become alike, each of them as natural as a patch of sky.

    >>> unit = (1 - RIDGE) * np.eye(2)
    >>> divergences(np.array([[3.0, 4.0]]), unit[None], np.zeros(2), unit).round(9).tolist()  # 5^2 / 2
    [12.5]
    """
    d = len(mean)
    ridge = RIDGE * np.eye(d)
    inverse = np.linalg.inv(covariance + ridge)
    away = means - mean
    inside = np.einsum("nij,ji->n", covariances + ridge, inverse) - d
    volumes = np.linalg.slogdet(covariance + ridge)[1] - np.linalg.slogdet(covariances + ridge)[1]
    return np.asarray((inside + np.einsum("ni,ij,nj->n", away, inverse, away) + volumes) / 2)


def niqe_distances(means: Array, covariances: Array, mean: Array, covariance: Array) -> Array:
    """sqrt((m - m0)' ((S + S0) / 2)^+ (m - m0)) of Gaussians (n, d), (n, d, d) to one, (n,).

    The pseudo-inverse is that of the correlations, so the scale of a feature does not decide what it drops.

    >>> niqe_distances(np.array([[3.0, 4.0]]), np.eye(2)[None], np.zeros(2), np.eye(2)).tolist()
    [5.0]
    """
    joint = (covariances + covariance) / 2
    scale = np.sqrt(np.einsum("nii->ni", joint))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(joint / (scale[:, :, None] * scale[:, None, :]))
    seen = values > CUTOFF * values[:, -1:]
    along = np.einsum("nij,ni->nj", vectors, (means - mean) / scale)
    return np.asarray(np.sqrt((np.where(seen, along**2 / np.where(seen, values, 1.0), 0.0)).sum(1)))


def clip_distances(kind: Literal["natural-scene", "niqe"], generated: npt.ArrayLike, reference: npt.ArrayLike) -> Array:
    """The distance of each generated row (n, D) to the Gaussian of the reference rows (m, D) of its own size, and where
    there is none, of all: (n,), >= 0."""
    sizes, _, means, covariances = unpacked(generated)
    real_sizes, counts, real_means, real_covariances = unpacked(reference)
    out = np.empty(len(sizes))
    for size in np.unique(sizes, axis=0):
        own = (sizes == size).all(1)
        alike = (real_sizes == size).all(1)
        part = alike if alike.any() else np.ones(len(real_sizes), bool)
        mean, covariance = pooled(counts[part], real_means[part], real_covariances[part])
        if kind == "niqe":
            out[own] = niqe_distances(means[own], covariances[own], mean, covariance)
        else:
            out[own] = divergences(means[own], covariances[own], mean, covariance)
    return out
