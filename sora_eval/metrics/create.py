"""Makes metrics by name: loads a metric's module when it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from sora_eval.metrics.base import ClipMetric, SetMetric
from sora_eval.records.case import Prompt
from sora_eval.registry.metrics import REGISTRY, check_options
from sora_eval.util.errors import SoraEvalError


@dataclass
class Metrics:
    """The metrics that could be created, by name, and why the others could not."""

    per_clip: dict[str, ClipMetric] = field(default_factory=dict)
    sets: dict[str, SetMetric] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def make_metrics(chosen: Mapping[str, Mapping[str, Any]], prompts: Iterable[Prompt]) -> Metrics:
    """Create metrics by name with their options; a missing weight is a reason in `missing`, not the end of the run."""
    metrics, prompts = Metrics(), list(prompts)
    for name, options in chosen.items():
        try:
            metric = create(name, dict(options))
        except SoraEvalError as error:
            metrics.missing[name] = str(error)
            continue
        if isinstance(metric, ClipMetric):
            metric.prepare(prompts)
            metrics.per_clip[name] = metric
        else:
            metrics.sets[name] = metric
    return metrics


def create(name: str, options: dict[str, Any] | None = None) -> ClipMetric | SetMetric:
    """A metric with its options; the rest keep their defaults. Raises WeightsError when a network is missing, RefusedError and
    SuiteError for options that it cannot have."""
    check_options(name, options or {})
    info = REGISTRY[name]
    module, _, attribute = info.target.partition(":")
    metric: ClipMetric | SetMetric = getattr(import_module(module), attribute)(**{**info.options, **(options or {})})
    return metric
