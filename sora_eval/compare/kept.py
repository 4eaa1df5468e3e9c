"""What a baseline may keep of its clips, to compare a later run's with: the clips themselves, in a folder beside its file, or
features of them, in the file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sora_eval.compare.run_data import Features, RunData

SUFFIX = ".clips"
PREFIX = "kept:"  # of the names of features, which else are those of set metrics


def clips_folder(baseline: Path) -> Path:
    """The folder of a baseline's clips, a file `file_name(CASE).mkv` each.

    >>> clips_folder(Path("baselines/gate.ci.json")).as_posix()
    'baselines/gate.ci.clips'
    """
    return baseline.with_suffix(SUFFIX)


def keeps_clips(data: RunData) -> bool:
    """Whether a run has a folder of clips with something in it, or a baseline one beside its file, or features of its clips."""
    folder = clips_folder(Path(data.path)) if data.kind == "baseline" else Path(data.path) / "clips"
    return bool(kept_features(data)) or (folder.is_dir() and any(folder.iterdir()))


def kept_features(data: RunData) -> dict[str, Features]:
    """The features that are kept for paired metrics, by the signatures of their extractors and, after a space, their size."""
    return {key.removeprefix(PREFIX): features for key, features in data.features.items() if key.startswith(PREFIX)}


def with_kept(data: RunData, features: Mapping[str, Features]) -> RunData:
    """The data with features of its clips, as `kept_features` gives them."""
    return replace(data, features={**data.features, **{f"{PREFIX}{key}": value for key, value in features.items()}})
