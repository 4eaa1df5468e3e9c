"""What a baseline may keep of its clips, to compare a later run's with: the clips themselves, in a folder beside its file, or
features of them, in the file. Pure."""

from __future__ import annotations

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


def kept_features(data: RunData) -> dict[str, Features]:
    """The features that are kept for paired metrics, by the signatures of their extractors."""
    return {key.removeprefix(PREFIX): features for key, features in data.features.items() if key.startswith(PREFIX)}
