"""Variance components of scores by prompt and seed: a random-effects decomposition. Pure.

A table has a row per prompt and a column per seed, NaN where there is no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sora_eval.stats.intervals import Array


@dataclass(frozen=True)
class Components:
    """Where the variance of a score comes from, in squared units: score = `mean` + prompt + seed within prompt.

    `prompt` is the variance over prompts, `seed` that over the seeds of one prompt, `seed_new` the latter of another
    checkpoint. `prompt_checkpoint` is the variance over prompts of what the other checkpoint changes, 0 without one.
    """

    mean: float
    prompt: float
    seed: float
    seed_new: float
    prompt_checkpoint: float = 0.0

    def of_change(self, baseline_seeds: int, seeds: int) -> float:
        """Variance over prompts of the change of a prompt's mean of K seeds to that of k others: the error of a change is its
        root over that of the number of prompts.

        >>> Components(0.0, prompt=9.0, seed=1.0, seed_new=1.0, prompt_checkpoint=0.25).of_change(4, 2)
        1.0
        """
        return self.prompt_checkpoint + self.seed / baseline_seeds + self.seed_new / seeds


def components(base: Array, new: Array | None = None) -> Components:
    """The components of a table (prompts, seeds), and with a table of another checkpoint on the same prompts its part of them.

    The estimators of the analysis of variance for unequal numbers (Henderson's method I, Searle 1971), cut at 0. Raises
    ValueError where a table has fewer than two prompts, or no prompt with two seeds.
    """
    seed, counts = _within(base)
    known = counts > 0
    means = np.nanmean(base[known], 1)
    n, total = counts[known], counts.sum()
    overall = (n * means).sum() / total
    between = (n * np.square(means - overall)).sum() / (len(n) - 1)
    effective = (total - np.square(n).sum() / total) / (len(n) - 1)
    prompt = max((between - seed) / effective, 0.0)
    if new is None:
        return Components(float(overall), float(prompt), seed, seed)
    seed_new, counts_new = _within(new)
    both = (counts > 0) & (counts_new > 0)
    if both.sum() < 2:
        raise ValueError("fewer than 2 prompts have scores of both checkpoints")
    changes = np.nanmean(new[both], 1) - np.nanmean(base[both], 1)
    noise = (seed / counts[both] + seed_new / counts_new[both]).mean()
    return Components(float(overall), float(prompt), seed, seed_new, float(max(changes.var(ddof=1) - noise, 0.0)))


def _within(table: Array) -> tuple[float, Array]:
    """Pooled variance over the seeds of a prompt, and the number of scores of each prompt."""
    counts = np.isfinite(table).sum(1).astype(np.float64)
    if (counts > 0).sum() < 2 or counts.max() < 2:
        raise ValueError("components need at least 2 prompts with scores, and a prompt with 2 seeds")
    deviations = _deviations(table)
    return float(np.nansum(np.square(deviations)) / (counts - 1)[counts > 0].sum()), counts


def _deviations(table: Array) -> Array:
    known = np.isfinite(table)
    means = np.where(known, table, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return np.asarray(table - means[:, None])


def seed_kurtosis(table: Array) -> float:
    """Excess kurtosis of the seed noise of a table, of the deviations from a prompt's mean: 0 of normal noise; 0 without noise.

    >>> seed_kurtosis(np.array([[-1.0, 1.0], [1.0, -1.0]]))  # of two equally likely values
    -2.0
    """
    deviations = _deviations(table)
    squares = np.square(deviations[np.isfinite(deviations)])
    variance = squares.mean() if len(squares) else 0.0
    return float(np.square(squares).mean() / variance**2 - 3) if variance > 0 else 0.0


def seed_correlation(tables: Sequence[Array]) -> Array:
    """Correlation (r, r) of the seed noise of r tables of the same prompts and seeds: of their deviations from a prompt's mean.

    A table without noise is correlated with none. Pairs of scores that both exist count; the result is made positive
    semidefinite by cutting eigenvalues at 0.
    """
    noise = np.array([_deviations(t).ravel() for t in tables])
    out = np.eye(len(noise))
    for i in range(len(noise)):
        for j in range(i):
            known = np.isfinite(noise[i]) & np.isfinite(noise[j])
            a, b = noise[i][known], noise[j][known]
            size = float(np.sqrt((a @ a) * (b @ b)))
            out[i, j] = out[j, i] = a @ b / size if size > 0 else 0.0
    values, vectors = np.linalg.eigh(out)
    fixed = (vectors * np.maximum(values, 0.0)) @ vectors.T
    scale = np.sqrt(np.diag(fixed))
    return np.asarray(fixed / np.outer(scale, scale))
