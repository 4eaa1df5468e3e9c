"""Makes metrics by name: loads a metric's module when it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sora_eval.metrics.asking import code_of
from sora_eval.metrics.base import ClipMetric, PairMetric, SetMetric
from sora_eval.records.case import Prompt
from sora_eval.registry.metric_info import MetricInfo
from sora_eval.registry.metrics import METRICS, check_options, check_options_of
from sora_eval.registry.paired_metrics import PAIRED
from sora_eval.registry.registry import Registry
from sora_eval.util.errors import MetricError, SoraEvalError
from sora_eval.util.redaction import given_again, remember
from sora_eval.util.user_code import UserCodeError, user_code

NEEDED = {  # attributes that an instance has, by kind
    "per-clip": ("signature",),
    "paired": ("signature", "identical"),
    "set": ("signature", "extractor", "least", "statistic"),
}


@dataclass
class Metrics:
    """Metrics by name, and the reasons why others could not be created (`missing`)."""

    per_clip: dict[str, ClipMetric] = field(default_factory=dict)
    sets: dict[str, SetMetric] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def make_metrics(specs: Mapping[str, Mapping[str, Any]], prompts: Iterable[Prompt]) -> Metrics:
    """Create metrics by name with their options and prepare them; an error is a reason in `missing`, not the end of the run."""
    metrics, prompts = Metrics(), list(prompts)
    for name, options in specs.items():
        try:
            metric = create(name, dict(options))
            if isinstance(metric, ClipMetric):
                with code_of(name):
                    metric.prepare(prompts)
        except SoraEvalError as error:
            metrics.missing[name] = str(error)
            continue
        if isinstance(metric, ClipMetric):
            metrics.per_clip[name] = metric
        else:
            metrics.sets[name] = metric
    return metrics


def create(name: str, options: dict[str, Any] | None = None) -> ClipMetric | SetMetric:
    """A metric with its options; the rest keep their defaults. `name` is one of `sora-eval list metrics`, or `module:Class`.

    Raises RegistryError for an unknown name, WeightsError for a missing network, RefusedError or SuiteError for invalid
    options, MetricError where the class of a user cannot be created.
    """
    check_options(name, options or {})
    made: ClipMetric | SetMetric = _made(name, METRICS, options or {})
    return made


def create_paired(name: str, options: dict[str, Any] | None = None) -> PairMetric:
    """The same for a paired metric."""
    check_options_of(PAIRED.info(name), f"paired metric {name}: ", options or {})
    made: PairMetric = _made(name, PAIRED, options or {})
    return made


def create_any(name: str, options: dict[str, Any] | None = None) -> ClipMetric | SetMetric | PairMetric:
    """A metric of any kind by its name; raises as `create`."""
    return create_paired(name, options) if name in PAIRED.built_in else create(name, options)


def _made(name: str, registry: Registry[MetricInfo], options: dict[str, Any]) -> Any:
    remember(options)
    arguments = {**registry.info(name).options, **given_again(options, f"metric {name}", MetricError)}
    if name in registry.built_in:
        return registry.load(name)(**arguments)
    try:
        with user_code():
            metric = registry.load(name)(**arguments)
    except UserCodeError as error:
        raise MetricError(f"{name} cannot be made: {error}") from error
    if missing := [attribute for attribute in NEEDED[metric.kind] if not hasattr(metric, attribute)]:
        raise MetricError(f"{name} has no {', '.join(missing)}; a {metric.kind} metric sets {', '.join(NEEDED[metric.kind])}")
    return metric
