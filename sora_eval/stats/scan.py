"""Sequential scan for a lasting change in a series of runs that share prompts, seeds and a baseline. Pure.

After run t the mean change of the last w runs is standardised over clusters, for w = 2, 4, 8, .. and t (the generalised
likelihood ratio form of CUSUM, which does not know since when: Lorden 1971, on a geometric grid of windows: Lai 1995); the
statistic is the largest over rows and windows.

Runs of a series are far from independent: they have one baseline, whose own noise is in every change, the same prompts, and
often the same seeds. So what is random here is a cluster: if nothing has changed, its whole history is as likely as the
history with every sign turned. Flipping the histories of whole clusters gives paths of the statistic of which the observed
one is one among equals. A flip crosses at run t if its statistic is above the boundary b(t), and b(t) is set so that a share
of at most `spent[t]` of the flips has crossed by then (spending: Lan and DeMets 1983; joint permutation distribution over
rows: Westfall and Young 1993). The boundaries are the same whichever of the flips is observed, hence the chance that the
observed path ever crosses is at most the limit of `spent`, at whatever run one stops, whatever the dependence between runs,
rows and seeds (level of random flips with the identity among them: Hemerik and Goeman 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sora_eval.stats.intervals import Array

FLIPS = 20_000  # a run may add 10^-4 and less to what is spent: fewer flips would let it add nothing


@dataclass(frozen=True)
class Look:
    """The scan after one run: the boundary, and by row (r,) and window (w,) the standardised mean change of the last
    `windows[w]` runs, (r, w), and the mean change itself, (r, w). A row without values has the statistic -inf."""

    boundary: float
    windows: tuple[int, ...]
    statistics: Array
    means: Array


def windows_at(run: int) -> tuple[int, ...]:
    """Numbers of last runs that are looked at after run number `run`, from 1.

    >>> windows_at(1), windows_at(4), windows_at(11)
    ((), (2, 4), (2, 4, 8, 11))
    """
    powers = [2**k for k in range(1, run.bit_length()) if 2**k <= run]
    return tuple(dict.fromkeys([*powers, run])) if run > 1 else ()


def scan(changes: Array, spent: Sequence[float], flips: int = FLIPS) -> list[Look]:
    """A look after every run of `changes` (rows, runs, clusters), in which up is what is looked for and NaN is no value.

    `spent` (runs,) is the share of false alarms, 0 to 1, that may have been spent by each run; it must not fall.
    """
    rows, runs, clusters = changes.shape
    signs = _signs(clusters, flips)
    alive, looks = np.ones(len(signs), bool), []
    for run in range(1, runs + 1):
        windows = windows_at(run)
        if not windows:
            looks.append(Look(np.inf, (), np.zeros((rows, 0)), np.zeros((rows, 0))))
            continue
        means = np.stack([_means(changes[:, run - w : run]) for w in windows], 1)  # (rows, windows, clusters)
        statistics = _standardised(signs, means.reshape(-1, clusters))  # (flips, rows x windows)
        largest = statistics.max(1)
        allowed = int(spent[run - 1] * len(signs) + 1e-9) - int((~alive).sum())
        # As many of the rest may cross as the budget has left. Where it has none, what crossed before may still be past them.
        rest = largest[alive]
        place = max(len(rest) - allowed - 1, 0)
        boundary = float(np.partition(rest, place)[place])
        alive &= largest <= boundary
        known = np.isfinite(means)
        mean = np.where(known, means, 0.0).sum(2) / np.maximum(known.sum(2), 1)
        looks.append(Look(boundary, windows, statistics[0].reshape(rows, -1), mean))
    return looks


@lru_cache(maxsize=4)
def _signs(clusters: int, flips: int) -> Array:
    """Random signs (flips, clusters), the first row as the data are."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (flips, clusters))
    signs[0] = 1.0
    return signs


def _means(changes: Array) -> Array:
    """Mean over runs, (rows, clusters), of (rows, runs, clusters); NaN where a cluster has no value."""
    known = np.isfinite(changes)
    counts = known.sum(1)
    sums = np.where(known, changes, 0.0).sum(1)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _standardised(signs: Array, means: Array) -> Array:
    """Student's t of the mean of every row of `means` (m, clusters) under every flip, (flips, m); -inf without a value or with
    values that are all 0."""
    filled = np.where(np.isfinite(means), means, 0.0)
    n = np.isfinite(means).sum(1)
    squares = np.square(filled).sum(1)
    known = (squares > 0) & (n > 1)
    cosine = signs @ filled.T / np.sqrt(np.where(known, squares * n, 1.0))
    with np.errstate(divide="ignore"):
        t = np.sqrt(np.maximum(n - 1, 0)) * cosine / np.sqrt(np.maximum(1 - cosine**2, 0.0))
    return np.asarray(np.where(known, t, -np.inf))
