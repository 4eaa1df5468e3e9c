"""Runs a metric on a clip and checks its result; an exception of a user's class becomes the reason of a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from sora_eval.features.view import Array, ClipView
from sora_eval.metrics.base import ClipMetric, Score, SetMetric
from sora_eval.registry.metrics import METRICS
from sora_eval.util.errors import MetricError, SoraEvalError, Undefined, reason_of


def scores_of(name: str, metric: ClipMetric, view: ClipView) -> dict[str, Score]:
    """The score of every output on one clip. Raises Undefined where none exists, MetricError where a user's class fails."""
    with _users_code(name):
        scores = metric.score(view)
        return {output.name: _checked(name, output.name, scores[output.name]) for output in metric.outputs}


def features_of(name: str, metric: SetMetric, view: ClipView) -> Array:
    """The vector (D,) of one clip. Raises Undefined where there is none, MetricError where a user's class fails."""
    with _users_code(name):
        values = np.asarray(metric.features(view), np.float32)
    if not np.isfinite(values).all():
        raise Undefined("the features hold NaN or infinite values")
    return values


@contextmanager
def _users_code(name: str) -> Iterator[None]:
    """Turns exceptions of a user's class into MetricError; those of built-in metrics are bugs and keep their traceback."""
    try:
        yield
    except (Undefined, SoraEvalError):
        raise
    except Exception as error:
        if name in METRICS.built_in:
            raise
        raise MetricError(f"{name} broke: {reason_of(error)}") from error


def _checked(name: str, output: str, score: object) -> Score:
    if not isinstance(score, Score):
        raise MetricError(f"{name} gave a {type(score).__name__} for {output!r}, expected a Score")
    return Score(None if score.value is None else float(score.value), score.reason, score.detail)
