"""Runs a metric on a clip and checks its result; an exception of a user's class becomes the reason of a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sora_eval.features.view import Array, ClipView
from sora_eval.metrics.base import ClipMetric, PairMetric, Score, SetMetric
from sora_eval.registry.metrics import METRICS
from sora_eval.registry.paired_metrics import PAIRED
from sora_eval.util.errors import MetricError, SoraEvalError, Undefined, is_out_of_memory, reason_of
from sora_eval.util.user_code import UserCodeError, user_code


def scores_of(name: str, metric: ClipMetric, view: ClipView) -> dict[str, Score]:
    """The score of every output on one clip. Raises Undefined where none exists, MetricError where a user's class fails."""
    with code_of(name):
        scores = metric.score(view)
        return {output.name: _checked(name, output.name, scores[output.name]) for output in metric.outputs}


def pair_scores_of(name: str, metric: PairMetric, base: ClipView, new: ClipView) -> dict[str, Score]:
    """The score of every output on one pair of clips. Raises as `scores_of`."""
    with code_of(name):
        scores = metric.score(base, new)
        return {output.name: _checked(name, output.name, scores[output.name]) for output in metric.outputs}


def features_of(name: str, metric: SetMetric, view: ClipView) -> Array:
    """The vector (D,) of one clip. Raises Undefined where there is none, MetricError where a user's class fails."""
    with code_of(name):
        values = np.asarray(metric.features(view), np.float32)
    if not np.isfinite(values).all():
        raise Undefined("the features hold NaN or infinite values")
    return values


@contextmanager
def code_of(name: str) -> Iterator[None]:
    """Turns exceptions of a user's metric into MetricError; those of built-in metrics are bugs and keep their traceback,
    unless memory ran out."""
    if name not in METRICS.built_in and name not in PAIRED.built_in:
        try:
            with user_code():
                yield
        except UserCodeError as error:
            raise MetricError(f"{name} broke: {error}") from error
        return
    try:
        yield
    except (Undefined, SoraEvalError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise MetricError(f"{name}: {reason_of(error)}") from error
        raise


def _checked(name: str, output: str, score: object) -> Score:
    if not isinstance(score, Score):
        raise MetricError(f"{name} gave a {type(score).__name__} for {output!r}, expected a Score")
    detail = json.loads(json.dumps(score.detail, default=_plain))
    return Score(None if score.value is None else float(score.value), str(score.reason), detail)


def _plain(value: Any) -> Any:
    """A numpy scalar or array as plain values. Raises TypeError for what no row can hold."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"its detail holds a {type(value).__name__}; expected what JSON can hold")
