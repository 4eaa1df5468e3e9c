"""The metrics by name. This table imports no torch; `create` loads a metric's module when it is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sora_eval.metrics.base import ClipMetric, SetMetric

Family = Literal["distribution", "text", "temporal", "physics"]


@dataclass(frozen=True)
class MetricInfo:
    """What is known of a metric without loading it. `options` are the keys a suite may set, with their defaults.

    `outputs` are its names in metrics.jsonl, where it has others than its own: what a gate can name.
    """

    family: Family
    kind: Literal["per-clip", "set"]
    target: str  # module:class
    about: str
    options: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


_CLIP_OPTIONS = {"model": "world", "frames": 8}

REGISTRY: dict[str, MetricInfo] = {
    "fvd": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:FVD",
        "Fréchet distance of I3D Kinetics-400 logits",
        {"protocol": "original"},
    ),
    "kvd": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:KVD",
        "unbiased kernel distance (MMD^2) of I3D logits",
        {"protocol": "original"},
    ),
    "precision": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:Precision",
        "share of generated clips inside the real set (k = 3 neighbours, I3D logits)",
        {"protocol": "original"},
    ),
    "recall": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:Recall",
        "share of real clips inside the generated set: falls when modes are lost",
        {"protocol": "original"},
    ),
    "clip_score": MetricInfo(
        "text",
        "per-clip",
        "sora_eval.metrics.text:ClipScore",
        "100 x cosine of prompt and frames, mean of frames",
        _CLIP_OPTIONS,
    ),
    "clip_retrieval": MetricInfo(
        "text",
        "per-clip",
        "sora_eval.metrics.text:ClipRetrieval",
        "is the clip's own prompt ranked first among the suite's (R@1)",
        _CLIP_OPTIONS,
    ),
    "caption_facts": MetricInfo(
        "text",
        "per-clip",
        "sora_eval.metrics.captions:CaptionFacts",
        "F1 of the facts that the recaptioner reads back from the clip",
        {"checkpoint": "base"},
    ),
    "temporal_flickering": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:TemporalFlickering",
        "VBench's (255 - mean absolute frame difference) / 255",
    ),
    "subject_consistency": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:SubjectConsistency",
        "VBench's: features of each frame against the first and the one before",
        {"model": "world"},
    ),
    "background_consistency": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:BackgroundConsistency",
        "VBench's: the same formula, meant for a CLIP image tower",
        {"model": "world"},
    ),
    "motion_smoothness": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:MotionSmoothness",
        "VBench's: every second frame against its interpolation, by optical flow",
    ),
    "warping_error": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:WarpingError",
        "squared difference to the flow-warped next frame, occlusions masked",
    ),
    "dynamic_degree": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:DynamicDegree",
        "VBench's: does the clip move at all, so that a still picture cannot win",
        outputs=("dynamic_degree", "dynamic_degree.magnitude"),
    ),
    "physics_laws": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics:PhysicsLaws",
        "permanence, continuity, rigidity, free fall and support of tracked objects",
        outputs=tuple(f"physics_laws.{law}" for law in ("permanence", "continuity", "rigidity", "free_fall", "support")),
    ),
    "object_facts": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics:ObjectFacts",
        "count, colour, shape and velocity of tracked objects against the prompt's facts",
        outputs=tuple(f"object_facts.{fact}" for fact in ("count", "colour", "shape", "motion", "velocity_error")),
    ),
}


def create(name: str, options: dict[str, Any] | None = None) -> ClipMetric | SetMetric:
    """A metric with its options; the rest keep their defaults. Raises WeightsError when a network is missing."""
    info = REGISTRY[name]
    module, _, attribute = info.target.partition(":")
    metric: ClipMetric | SetMetric = getattr(import_module(module), attribute)(**{**info.options, **(options or {})})
    return metric
