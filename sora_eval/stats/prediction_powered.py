"""Prediction-powered inference of a mean (Angelopoulos et al. 2023), with the weight that makes it most certain (Angelopoulos,
Duchi and Zrnic 2023). Pure numpy and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.stats.cluster_means import LEAST_CLUSTERS, mean_interval
from sora_eval.stats.intervals import CONFIDENCE, Array, Interval


@dataclass(frozen=True)
class Powered:
    """A mean with its interval, and that of the labels `alone`; `weight` is that of the predictions, in labels per unit of a
    prediction, 0 where they do not help."""

    value: float
    interval: Interval
    alone: float
    alone_interval: Interval
    weight: float


def prediction_powered_mean(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, clusters: Sequence[str], span: float, confidence: float = CONFIDENCE
) -> Powered:
    """The mean label of all cases, of which only some have one (n,), NaN elsewhere, from predictions of all (n,).

    mean(y) + w (mean of f without a label - mean of f with one): without bias for any predictions if the labelled cases are
    drawn at random, and narrower than the labels alone as far as f tells y. w minimises the variance over whole clusters (n,).
    `span` is the width of the range of a label. Raises ValueError without a label.

    >>> y, f = [1.0, 0.0, 1.0, 0.0, np.nan, np.nan], [2.0, 1.0, 2.0, 1.0, 2.0, 2.0]
    >>> powered = prediction_powered_mean(y, f, ["a", "b", "c", "d", "e", "g"], 1.0)
    >>> powered.alone, powered.value, powered.weight  # f = 1 + y: the two without a label are 1
    (0.5, 1.0, 1.0)
    """
    y, f = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    known = np.isfinite(y)
    if not known.any():
        raise ValueError("no case has a label")
    names = np.asarray(clusters)
    alone = float(y[known].mean())
    alone_interval = mean_interval(y[known], names[known].tolist(), confidence, span)
    n_known, n_rest = int(known.sum()), int((~known).sum())
    labelled = len(np.unique(names[known]))
    if n_rest == 0 or labelled < LEAST_CLUSTERS:
        return Powered(alone, alone_interval, alone, alone_interval, 0.0)
    of_labels = _by_cluster(np.where(known, y - alone, 0.0) / n_known, names)
    rest, seen = f[~known].mean(), f[known].mean()
    of_predictions = _by_cluster(np.where(known, -(f - seen) / n_known, (f - rest) / n_rest), names)
    spread = float(of_predictions @ of_predictions)
    weight = -float(of_labels @ of_predictions) / spread if spread > 0 else 0.0
    value = alone + weight * float(rest - seen)
    residuals = of_labels + weight * of_predictions
    # As in `mean_interval`: two more at the largest deviation stand for the tail that few clusters did not show.
    squares = np.square(residuals).sum() + 2 * np.square(residuals).max()
    degrees = labelled - 2  # the mean, and the weight
    reach = float(stats.t.ppf((1 + confidence) / 2, degrees) * np.sqrt(labelled / (labelled + 1) * squares))
    method = f"prediction-powered, {labelled} prompts with votes of {len(np.unique(names))}"
    return Powered(value, Interval(value - reach, value + reach, method), alone, alone_interval, weight)


def _by_cluster(values: Array, clusters: npt.NDArray[np.str_]) -> Array:
    _, codes = np.unique(clusters, return_inverse=True)
    return np.bincount(codes, values).astype(np.float64)
