"""The metrics that are asked for, made where they can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sora_eval.metrics import create
from sora_eval.metrics.base import ClipMetric, SetMetric
from sora_eval.records.case import Prompt
from sora_eval.util.errors import SoraEvalError


@dataclass
class Metrics:
    """The metrics that could be made, by name, and why the others could not."""

    per_clip: dict[str, ClipMetric] = field(default_factory=dict)
    sets: dict[str, SetMetric] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def make_metrics(chosen: Mapping[str, Mapping[str, Any]], prompts: Iterable[Prompt]) -> Metrics:
    """Create metrics by name with their options; a missing weight is a reason in `missing`, not the end of the run."""
    made, prompts = Metrics(), list(prompts)
    for name, options in chosen.items():
        try:
            metric = create(name, dict(options))
        except SoraEvalError as error:
            made.missing[name] = str(error)
            continue
        if isinstance(metric, ClipMetric):
            metric.prepare(prompts)
            made.per_clip[name] = metric
        else:
            made.sets[name] = metric
    return made
