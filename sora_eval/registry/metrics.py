"""The metrics by name: a table of the built-in ones, which loads none of them, and those of packages and users."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sora_eval.registry.metric_info import MetricInfo, info_of_class
from sora_eval.registry.registry import Registry
from sora_eval.util.errors import SuiteError, near

_BARE = re.compile(r"^[A-Za-z0-9_-]+$")
_CLIP_OPTIONS = {"model": "world", "frames": 8}
_SET_OPTIONS = {"protocol": "original", "precision": "fp32", "network": ""}
_SET_CHOICES: dict[str, tuple[str, ...]] = {
    "protocol": ("original", "styleganv", "cdfvd", "common_metrics", "fastvideo"),
    "precision": ("fp32", "bf16"),
}
_FLOW_OPTIONS = {"flow": "dis", "flow_weights": ""}
_FLOW_CHOICES: dict[str, tuple[str, ...]] = {"flow": ("dis", "raft", "raft_small")}
_VBENCH: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (  # dimension, class, about, and the options that are files
    ("subject_consistency", "SubjectConsistency", "VBench's, on DINO ViT-B/16 from a file", ("dino",)),
    (
        "background_consistency",
        "BackgroundConsistency",
        "VBench's, on CLIP ViT-B/32 from a file",
        ("clip",),
    ),
    ("motion_smoothness", "MotionSmoothness", "VBench's, on AMT-S from a file", ("amt",)),
    ("dynamic_degree", "DynamicDegree", "VBench's, on RAFT from a file", ("raft",)),
    (
        "aesthetic_quality",
        "AestheticQuality",
        "VBench's, on CLIP ViT-L/14 and a head from files",
        ("clip", "head"),
    ),
    ("imaging_quality", "ImagingQuality", "VBench's, on MUSIQ from a file", ("musiq",)),
)

_BUILT_IN = {
    "fvd": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:FVD",
        "Fréchet distance of I3D Kinetics-400 logits",
        {**_SET_OPTIONS, "extrapolate": False},
        choices=_SET_CHOICES,
    ),
    "kvd": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:KVD",
        "unbiased kernel distance (MMD^2) of I3D logits",
        _SET_OPTIONS,
        choices=_SET_CHOICES,
    ),
    "mmd": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:MMD",
        "unbiased MMD^2 with a Gaussian kernel of I3D logits: sees changes that FVD of few clips does not",
        _SET_OPTIONS,
        choices=_SET_CHOICES,
    ),
    "precision": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:Precision",
        "share of generated clips inside the real set (k = 3 neighbours, I3D logits)",
        _SET_OPTIONS,
        choices=_SET_CHOICES,
    ),
    "recall": MetricInfo(
        "distribution",
        "set",
        "sora_eval.metrics.distribution:Recall",
        "share of real clips inside the generated set: falls when modes are lost",
        _SET_OPTIONS,
        choices=_SET_CHOICES,
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
        invariant_to=frozenset({"fps"}),
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
        invariant_to=frozenset({"resolution"}),
    ),
    "subject_consistency": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:SubjectConsistency",
        "VBench's formula: features of each frame against the first and the one before",
        {"model": "world"},
        invariant_to=frozenset({"resolution"}),
    ),
    "background_consistency": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:BackgroundConsistency",
        "VBench's formula: the same, meant for a CLIP image tower",
        {"model": "world"},
        invariant_to=frozenset({"resolution"}),
    ),
    "feature_drift": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.feature_paths:FeatureDrift",
        "frames against the first one and against earlier ones, by distance in time: curve, slope and end",
        {"model": "world"},
        outputs=tuple(f"feature_drift.{name}" for name in ("end", "slope", "eighth", "quarter", "half")),
        invariant_to=frozenset({"resolution"}),
    ),
    "motion_smoothness": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:MotionSmoothness",
        "VBench's formula without its network AMT: every second frame against its interpolation, by optical flow",
        _FLOW_OPTIONS,
        choices=_FLOW_CHOICES,
    ),
    "warping_error": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:WarpingError",
        "squared difference to the flow-warped next frame, occlusions masked",
        _FLOW_OPTIONS,
        choices=_FLOW_CHOICES,
    ),
    "dynamic_degree": MetricInfo(
        "temporal",
        "per-clip",
        "sora_eval.metrics.temporal:DynamicDegree",
        "VBench's rule: whether the clip moves, so that a still picture cannot win",
        _FLOW_OPTIONS,
        outputs=("dynamic_degree", "dynamic_degree.magnitude"),
        choices=_FLOW_CHOICES,
        invariant_to=frozenset({"fps"}),
    ),
    "physics_laws": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics:PhysicsLaws",
        "permanence, continuity, rigidity, free fall, collision and support of tracked objects",
        outputs=tuple(
            f"physics_laws.{law}" for law in ("permanence", "continuity", "rigidity", "free_fall", "collision", "support")
        ),
        pixels=True,
    ),
    "object_facts": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics:ObjectFacts",
        "count, colour, shape and velocity of tracked objects against the prompt's facts",
        outputs=tuple(f"object_facts.{fact}" for fact in ("count", "colour", "shape", "motion", "velocity_error")),
        pixels=True,
    ),
    "fitted_parameters": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics:FittedParameters",
        "g, restitution, friction, drag and stiffness read back from tracks, and their error against the world's",
        outputs=tuple(
            f"fitted_parameters.{name}{what}"
            for name in ("gravity", "restitution", "friction", "drag", "stiffness")
            for what in ("", "_error")
        ),
        pixels=True,
    ),
    "conservation": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics:Conservation",
        "energy and momentum of tracked objects along the clip: share of it in which they are conserved, and curves",
        outputs=("conservation.energy", "conservation.momentum"),
        pixels=True,
    ),
    "continuation": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics:Continuation",
        "laws after given first frames of the world's clip, and the distance from what follows there",
        outputs=tuple(
            f"continuation.{name}"
            for name in (
                "permanence",
                "continuity",
                "rigidity",
                "free_fall",
                "collision",
                "support",
                "position_error",
            )
        ),
        pixels=True,
    ),
    "first_frame_fidelity": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.first_frames:FirstFrameFidelity",
        "first frames against those that the clip was to begin with: rmse and (1 - SSIM) / 2",
        outputs=("first_frame_fidelity.rmse", "first_frame_fidelity.dssim"),
        pixels=True,
    ),
    "physics_iq": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.physics_iq.scores:PhysicsIQ",
        "Physics-IQ, original and Verified, against the benchmark's two real takes",
        {"real": "", "real_verified": "", "protocol": "published"},
        outputs=tuple(
            f"physics_iq.{name}"
            for name in ("original", "verified", "mse", "spatiotemporal_iou", "spatial_iou", "weighted_spatial_iou")
        ),
        choices={"protocol": ("published", "direct")},
        pixels=True,
    ),
    "feature_geometry": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.feature_paths:FeatureGeometry",
        "GeoPhys's: how evenly and how straight a clip moves through a frozen network's features",
        {"model": "world"},
        outputs=tuple(f"feature_geometry.{name}" for name in ("speed_variation", "curvature", "acceleration", "residual")),
    ),
    "point_laws": MetricInfo(
        "physics",
        "per-clip",
        "sora_eval.metrics.point_laws:PointLaws",
        "permanence, continuity, rigidity and smoothness of points followed through any video: proxies",
        outputs=tuple(f"point_laws.{law}" for law in ("permanence", "continuity", "rigidity", "smoothness")),
    ),
    "natural_scene": MetricInfo(
        "picture",
        "set",
        "sora_eval.metrics.picture:NaturalScene",
        "how unlike those of real clips the contrasts of patches are: grows with blur, noise and blocks",
        invariant_to=frozenset({"fps", "length"}),
    ),
    "niqe_refitted": MetricInfo(
        "picture",
        "set",
        "sora_eval.metrics.picture:NiqeRefitted",
        "NIQE's features and distance, fitted to the suite's own real clips",
    ),
    "aesthetic": MetricInfo(
        "picture",
        "per-clip",
        "sora_eval.metrics.picture:Aesthetic",
        "a linear head from a file on the frames' embeddings, such as LAION's",
        {"model": "world", "head": ""},
    ),
    "imaging_quality": MetricInfo(
        "picture",
        "per-clip",
        "sora_eval.metrics.picture:ImagingQuality",
        "the score of any network of pictures in an ONNX file",
        {"network": ""},
    ),
    **{
        f"vbench_{name}": MetricInfo(
            "vbench", "per-clip", f"sora_eval.metrics.vbench:VBench{target}", about, dict.fromkeys(files, "")
        )
        for name, target, about, files in _VBENCH
    },
}

METRICS = Registry(
    "metric",
    "sora_eval.metrics",
    _BUILT_IN,
    info_of_class,
    hint=" (a class of your own is named MODULE:CLASS)",
    takes_targets=True,
)


def metric_info(name: str) -> MetricInfo:
    """The record of a metric by built-in name, entry point or `module:Class`. Raises RegistryError as `Registry.info` does."""
    return METRICS.info(name)


def outputs_of(name: str) -> tuple[str, ...]:
    """The names of a metric's scores, which its rows and gates use. Raises RegistryError as `Registry.info` does.

    >>> outputs_of("fvd"), outputs_of("dynamic_degree")
    (('fvd',), ('dynamic_degree', 'dynamic_degree.magnitude'))
    """
    return metric_info(name).outputs or (name,)


def check_outputs(names: Iterable[str]) -> None:
    """Check that no two of these metrics have an output of the same name, which rows, gates and reports could not distinguish.

    Raises SuiteError for an output that occurs twice, RegistryError for an unknown metric.
    """
    owners: dict[str, str] = {}
    for name in names:
        for output in outputs_of(name):
            if (other := owners.setdefault(output, name)) != name:
                tables = f"[metrics.{quoted(other)}] and [metrics.{quoted(name)}]"
                raise SuiteError(f"{tables} both give {output!r}; leave one out, or rename an output of your own class")


def check_options(name: str, options: dict[str, Any]) -> None:
    """Check the options of a metric in a suite.

    Raises SuiteError for an unknown key, another type than the default's, or a value outside the choices; RegistryError for
    an unknown metric.
    """
    check_options_of(metric_info(name), f"[metrics.{quoted(name)}]", options)


def check_options_of(info: MetricInfo, table: str, options: dict[str, Any]) -> None:
    """The same by the record of the metric; `table` is how messages name it."""
    for key, value in options.items():
        if key not in info.options:
            raise SuiteError(f"{table}.{key} is not an option{near(key, list(info.options))}")
        default = info.options[key]
        if default is not None and type(value) is not type(default):
            raise SuiteError(f"{table}.{key} = {value!r} is {type(value).__name__}; expected {type(default).__name__}")
        if key in info.choices and value not in info.choices[key]:
            raise SuiteError(f"{table}.{key} = {value!r} is not known; expected one of: {', '.join(info.choices[key])}")


def quoted(name: str) -> str:
    """A name as a key of a TOML table header.

    >>> quoted("fvd"), quoted("my_metrics:Brightness")
    ('fvd', '"my_metrics:Brightness"')
    """
    return name if _BARE.match(name) else f'"{name}"'
