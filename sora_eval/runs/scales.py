"""The scales that are known: those that ship with the suites, and those that this user had computed, by content.

A scale is of what is asked (prompts with their facts, shapes, lengths, rate, seeds, reference set, canvas); each of its metrics
is of one signature. So a suite whose gates or oracles change keeps its scale, and one that adds a metric that of the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from sora_eval.records.scale import Mark, MetricScale, Scale
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.suite import Suite
from sora_eval.suite.loading import shipped_folder
from sora_eval.util.cache import publishing
from sora_eval.util.errors import RunError
from sora_eval.util.sealed import read_json, sealed, unsealed
from sora_eval.util.weights import cache_folder

SCHEMA_VERSION = 1
SHIPPED = shipped_folder() / "scales.json"


def key_of(suite: Suite, reference: str = "") -> str:
    """The hash of what a suite asks, as 16 hex digits, and of its `reference` clips, where these come from a folder.
    '' where neither prompts nor clips are known."""
    if suite.axes is None and not reference:
        return ""
    included = {"axes", "reference", "canonical"} if suite.axes is not None else {"canonical"}
    declared = suite.model_dump(mode="json", include=included)
    declared["prompts"] = [[p.id, p.text, p.facts] for p in suite.prompt_list]
    declared["reference_clips"] = reference
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]


def clips_hash(clips: list[str]) -> str:
    """The hash of the hashes of reference clips, in any order; '' of none."""
    return hashlib.sha256("".join(sorted(clips)).encode()).hexdigest()[:16] if clips else ""


def scale_of(run: RunFolder) -> Scale | None:
    """The scale of a run's suite, shipped or in the cache; None where none is known. Raises RunError for a damaged run."""
    suite = stored_suite(run)
    return known_scale(key_of(suite, clips_hash(reference_clips(run)) if from_folder(suite) else ""))


def from_folder(suite: Suite) -> bool:
    """Whether a suite's perfect clips are files, which its text does not name by content."""
    return suite.axes is None or suite.reference_spec.startswith("folder:")


def reference_clips(run: RunFolder) -> list[str]:
    """The hashes of the clips of a run's reference set; empty where it has none, or was made before they were recorded."""
    for file in sorted((run.path / "features").glob("reference-*.npz")):
        clips = run.load_features(file.stem).get("clips")
        if clips is not None:
            return [str(c) for c in clips.tolist()]
    return []


def known_scale(key: str) -> Scale | None:
    """The scale of a key, shipped or in the cache, metric by metric; None where neither has it."""
    found = [s for s in (_shipped().get(key), _cached(key)) if s is not None] if key else []
    if not found:
        return None
    metrics = {name: metric for scale in found for name, metric in scale.metrics.items()}  # the user's own win
    return Scale(found[-1].suite, found[-1].clips, metrics)


def keep_scale(key: str, scale: Scale) -> Path:
    """Write a scale into the cache; metrics that it lacks stay from an earlier one. Raises OSError."""
    earlier = _cached(key)
    merged = scale if earlier is None else Scale(scale.suite, scale.clips, {**earlier.metrics, **scale.metrics})
    path = _path(key)
    with publishing(path) as partial:
        partial.write_text(json.dumps(sealed(to_json({key: merged})), indent=1), encoding="utf-8")
    return path


def to_json(scales: Mapping[str, Scale]) -> dict[str, Any]:
    """Scales by key as plain data."""
    return {"schema_version": SCHEMA_VERSION, "scales": {key: asdict(scale) for key, scale in scales.items()}}


def from_json(data: Mapping[str, Any]) -> dict[str, Scale]:
    """The inverse of `to_json`. Raises ValueError, KeyError and TypeError for other data."""
    if data["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version {data['schema_version']!r}; this sora_eval reads {SCHEMA_VERSION}")
    return {key: _scale(scale) for key, scale in data["scales"].items()}


def _scale(data: Mapping[str, Any]) -> Scale:
    metrics = {
        name: MetricScale(**{**metric, "marks": {n: Mark(**mark) for n, mark in metric["marks"].items()}})
        for name, metric in data["metrics"].items()
    }
    return Scale(data["suite"], data["clips"], metrics)


def _path(key: str) -> Path:
    return cache_folder() / "scales" / f"{key}.json"


@cache
def _shipped() -> dict[str, Scale]:
    return _read(SHIPPED) if SHIPPED.is_file() else {}


def _cached(key: str) -> Scale | None:
    path = _path(key)
    try:
        return _read(path).get(key) if path.is_file() else None
    except RunError:
        return None  # a damaged entry of a cache is made again


def _read(path: Path) -> dict[str, Scale]:
    try:
        return from_json(unsealed(read_json(path)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}; make it again: sora-eval scale") from error
