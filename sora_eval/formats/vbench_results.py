"""VBench's own result files, `*_eval_results.json`, and the totals that VBench makes of their dimensions. Pure but for reading.

A file holds `{DIMENSION: [MEAN, [{"video_path": ..., "video_results": ...}, ...]]}`. Source of the format, the constants and
the totals: github.com/Vchitect/VBench, `vbench/__init__.py`, `scripts/constant.py`, `scripts/cal_final_score.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sora_eval.util.errors import RunError
from sora_eval.util.sealed import file_digest, read_json

SUFFIX = "_eval_results.json"
QUALITY_SHARE, SEMANTIC_SHARE = 4, 1  # of the total


@dataclass(frozen=True)
class Scale:
    """The range that VBench maps to 0..1 before it averages, and the weight of the dimension."""

    low: float
    high: float
    weight: float = 1.0


QUALITY = {
    "subject_consistency": Scale(0.1462, 1.0),
    "background_consistency": Scale(0.2615, 1.0),
    "temporal_flickering": Scale(0.6293, 1.0),
    "motion_smoothness": Scale(0.706, 0.9975),
    "aesthetic_quality": Scale(0.0, 1.0),
    "imaging_quality": Scale(0.0, 1.0),
    "dynamic_degree": Scale(0.0, 1.0, 0.5),
}
SEMANTIC = {
    "object_class": Scale(0.0, 1.0),
    "multiple_objects": Scale(0.0, 1.0),
    "human_action": Scale(0.0, 1.0),
    "color": Scale(0.0, 1.0),
    "spatial_relationship": Scale(0.0, 1.0),
    "scene": Scale(0.0, 0.8222),
    "appearance_style": Scale(0.0009, 0.2855),
    "temporal_style": Scale(0.0, 0.364),
    "overall_consistency": Scale(0.0, 0.364),
}
TOTALS = {"quality": tuple(QUALITY), "semantic": tuple(SEMANTIC), "total": (*QUALITY, *SEMANTIC)}


@dataclass(frozen=True)
class Dimension:
    """VBench's mean of one dimension, the number of videos that it lists, and the sha256 of the file."""

    mean: float
    videos: int
    sha256: str


def total(name: str, means: Mapping[str, float]) -> float:
    """VBench's `quality`, `semantic` or `total` score, 0..1, of the means of the dimensions.

    Raises ValueError that names the dimensions that are missing: VBench's script counts them as 0.

    >>> round(total("quality", {name: scale.high for name, scale in QUALITY.items()}), 6)
    1.0
    >>> total("semantic", {name: 0.5 for name in SEMANTIC if name != "scene"})
    Traceback (most recent call last):
    ValueError: VBench's semantic score needs 9 dimensions; missing: scene
    """
    needed = TOTALS[name]
    if missing := [dimension for dimension in needed if dimension not in means]:
        raise ValueError(f"VBench's {name} score needs {len(needed)} dimensions; missing: {', '.join(missing)}")
    if name == "total":
        quality, semantic = (total(part, means) for part in ("quality", "semantic"))
        return (QUALITY_SHARE * quality + SEMANTIC_SHARE * semantic) / (QUALITY_SHARE + SEMANTIC_SHARE)
    scales = QUALITY if name == "quality" else SEMANTIC
    shares = [scale.weight * (means[d] - scale.low) / (scale.high - scale.low) for d, scale in scales.items()]
    return sum(shares) / sum(scale.weight for scale in scales.values())


def read_results(paths: Iterable[Path]) -> dict[str, Dimension]:
    """The dimensions of result files, and of the folders of such files. Raises RunError for a file that is none, and for a
    dimension that two of them give different means."""
    dimensions: dict[str, Dimension] = {}
    for path in paths:
        files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not files:
            raise RunError(f"{path} holds no result of VBench (*{SUFFIX})")
        for file in files:
            for name, dimension in _read(file).items():
                if name in dimensions and dimensions[name].mean != dimension.mean:
                    raise RunError(f"{file}: {name} = {dimension.mean:g}, and another file says {dimensions[name].mean:g}")
                dimensions[name] = dimension
    return dimensions


def _read(file: Path) -> dict[str, Dimension]:
    try:
        data, digest = read_json(file), file_digest(file)
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read as a result of VBench: {error}") from error
    if not isinstance(data, dict) or not data:
        raise RunError(f"{file} is no result of VBench: expected an object {{DIMENSION: [MEAN, [VIDEO, ...]]}}")
    return {name: _dimension(file, name, value, digest) for name, value in data.items()}


def _dimension(file: Path, name: str, value: Any, digest: str) -> Dimension:
    mean = value[0] if isinstance(value, list) and value else None
    if isinstance(mean, bool) or not isinstance(mean, (int, float)) or not math.isfinite(mean) or not name.isidentifier():
        raise RunError(f"{file}: {name!r} = {str(value)[:60]}; expected DIMENSION: [MEAN, [VIDEO, ...]] with a finite mean")
    videos = value[1] if len(value) > 1 and isinstance(value[1], list) else []
    return Dimension(float(mean), len(videos), digest)
