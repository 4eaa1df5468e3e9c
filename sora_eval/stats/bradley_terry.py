"""Strengths from paired votes: Bradley and Terry (1952) with ties (Davidson 1970) and the advantage of a side (Davidson and
Beaver 1977). Pure numpy and scipy.

With s = strength of the left + side - strength of the right, the shares of left, right and tie are as exp(s/2), exp(-s/2) and
exp(tie): a multinomial logit, whose likelihood has one maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sora_eval.stats.cluster_means import LEAST_CLUSTERS
from sora_eval.stats.intervals import CONFIDENCE, Array, Interval
from sora_eval.util.errors import RefusedError

LEFT, RIGHT, TIE = 1, -1, 0  # of a vote


@dataclass(frozen=True)
class Strengths:
    """Natural logarithms of odds, against the mean of all items: two items a and b win against each other with odds of
    exp(a - b). `side` is the advantage of the left, `tie` the logarithm of Davidson's nu, None without a tie."""

    values: Array
    intervals: tuple[Interval, ...]
    side: float
    side_interval: Interval
    tie: float | None


def bradley_terry(
    left: npt.ArrayLike,
    right: npt.ArrayLike,
    votes: npt.ArrayLike,
    items: int,
    clusters: Sequence[str],
    confidence: float = CONFIDENCE,
) -> Strengths:
    """Strengths of `items` from votes (n,) of 1 (left), -1 (right) or 0 (tie) on the items numbered `left` and `right` (n,).

    Intervals are of sandwich errors over whole clusters (n,), at least those of independent votes, Student's t.
    Raises RefusedError where the votes leave a strength without a bound (Ford 1957): an item or a group of them always wins or
    always loses, or is never compared; and where one side always wins.
    """
    a, b, choice = (np.asarray(x, np.intp) for x in (left, right, votes))
    _check(a, b, choice, items)
    ties = bool((choice == TIE).any())
    # Columns: items but the last, which is minus the sum of the others; the side; the tie.
    contrast = np.vstack([np.eye(items - 1), -np.ones(items - 1)])
    difference = np.column_stack([contrast[a] - contrast[b], np.ones(len(a))]) / 2  # (n, items)
    k = items + ties
    designs = np.zeros((3 if ties else 2, len(a), k))  # of the options left, right and tie
    designs[0, :, :items], designs[1, :, :items] = difference, -difference
    if ties:
        designs[2, :, items] = 1.0
    chosen = np.where(choice == LEFT, 0, np.where(choice == RIGHT, 1, 2))

    def shares(parameters: Array) -> Array:
        logits = designs @ parameters
        logits -= logits.max(0)
        weights = np.exp(logits)
        return np.asarray(weights / weights.sum(0))  # (options, n)

    def loss(parameters: Array) -> float:
        return -float(np.log(np.maximum(shares(parameters)[chosen, np.arange(len(a))], 1e-300)).sum())

    def scores(parameters: Array) -> Array:
        expected = np.einsum("on,onk->nk", shares(parameters), designs)
        return np.asarray(designs[chosen, np.arange(len(a))] - expected)

    def hessian(parameters: Array) -> Array:
        p = shares(parameters)
        mean = np.einsum("on,onk->nk", p, designs)
        return np.asarray(np.einsum("on,onk,onl->kl", p, designs, designs) - mean.T @ mean)

    minimize: Any = optimize.minimize
    fit = minimize(
        loss, np.zeros(k), jac=lambda x: -scores(x).sum(0), hess=hessian, method="trust-exact", options={"gtol": 1e-8}
    )
    information = hessian(fit.x)
    covariance, n = _sandwich(scores(fit.x), information, clusters)
    full = np.zeros((items + 1, k))  # to all items and the side
    full[:items, : items - 1], full[items, items - 1] = contrast, 1.0
    # Of few votes the residuals of whole prompts can cancel; then the votes' own chance is what is known.
    variances = [np.einsum("ik,kl,il->i", full, c, full) for c in (covariance, np.linalg.pinv(information))]
    values, errors = full @ fit.x, np.sqrt(np.maximum(*variances))
    intervals = [_interval(float(v), float(e), n, confidence) for v, e in zip(values, errors, strict=True)]
    return Strengths(
        values[:items], tuple(intervals[:items]), float(values[items]), intervals[items], float(fit.x[items]) if ties else None
    )


def _check(left: npt.NDArray[np.intp], right: npt.NDArray[np.intp], votes: npt.NDArray[np.intp], items: int) -> None:
    winners = np.concatenate([left[votes != RIGHT], right[votes != LEFT]])
    losers = np.concatenate([right[votes != RIGHT], left[votes != LEFT]])
    graph = coo_array((np.ones(len(winners)), (winners, losers)), shape=(items, items))
    groups, _ = connected_components(graph, directed=True, connection="strong")
    if items < 2 or groups > 1:
        raise RefusedError(
            f"of {items} runs some always win, always lose, or are never compared with the others: their strength has no "
            "bound; collect more votes, or leave them out"
        )
    if not ((votes == LEFT).any() or (votes == TIE).any()) or not ((votes == RIGHT).any() or (votes == TIE).any()):
        raise RefusedError("every vote is for the same side of the screen: nothing can be said of the runs")
    if (votes == TIE).all():
        raise RefusedError("every vote is a tie: the runs differ by no more than the voters see")


def _sandwich(scores: Array, information: Array, clusters: Sequence[str]) -> tuple[Array, int]:
    """Covariance of the estimates over whole clusters, and the number of these."""
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    n = int(codes.max()) + 1
    sums = np.zeros((n, scores.shape[1]))
    np.add.at(sums, codes, scores)
    bread = np.linalg.pinv(information)
    return bread @ (n / max(n - 1, 1) * sums.T @ sums) @ bread, n


def _interval(value: float, error: float, clusters: int, confidence: float) -> Interval:
    if clusters < LEAST_CLUSTERS:
        return Interval(None, None, f"none: fewer than {LEAST_CLUSTERS} prompts")
    reach = float(stats.t.ppf((1 + confidence) / 2, clusters - 1)) * error
    return Interval(value - reach, value + reach, f"sandwich, {clusters} prompts")
