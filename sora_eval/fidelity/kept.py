"""The features of a run's clips that a baseline keeps, so that later runs can be compared with clips that are gone."""

from __future__ import annotations

import numpy as np

from sora_eval.compare.run_data import Features, RunData
from sora_eval.features.view import Array, Extractor, FeatureCache
from sora_eval.fidelity.sides import Side
from sora_eval.metrics.fidelity.networks import FeatureFidelity, LatentFidelity
from sora_eval.util.errors import RunError, Undefined
from sora_eval.util.progress import track


def features_to_keep(data: RunData) -> dict[str, Features]:
    """The vectors that `fidelity.features` and `fidelity.latent` with their defaults need of every clip, by the signatures of
    their extractors; a clip that an extractor does not cover has none, and where clips differ in size each size its own entry.

    Raises RunError for a clip that is not there or was changed, WeightsError for a network that cannot be opened.
    """
    extractors: list[Extractor] = [*FeatureFidelity().extractors.values(), LatentFidelity().extractor]
    side = Side("the run", data, FeatureCache())
    vectors: dict[str, dict[str, Array]] = {e.signature: {} for e in extractors}
    for case in track(list(data.samples), "features"):
        view = side.view(case)
        if isinstance(view, str):
            raise RunError(f"{data.path}: no features of {case} can be kept: {view}")
        for extractor in extractors:
            try:
                vectors[extractor.signature][case] = np.asarray(view.features(extractor), np.float32).ravel()
            except Undefined:
                continue
    return {key: features for signature, rows in vectors.items() for key, features in _by_size(signature, rows).items()}


def _by_size(signature: str, rows: dict[str, Array]) -> dict[str, Features]:
    """The vectors as tables, one for each size of vector, whose key has the size after a space."""
    sizes = sorted({len(row) for row in rows.values()})
    tables = {}
    for size in sizes:
        ids = [i for i, row in rows.items() if len(row) == size]
        tables[f"{signature} {size}"] = (ids, np.stack([rows[i] for i in ids]))
    return tables
