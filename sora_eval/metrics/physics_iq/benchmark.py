"""The real side of Physics-IQ: the takes of one folder, their masks, and how far two takes of one scene lie apart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.features.view import FeatureCache
from sora_eval.metrics.physics_iq.masks import PROTOCOLS, MaskedClip, masked_clip
from sora_eval.metrics.physics_iq.measures import Measures, measure
from sora_eval.metrics.physics_iq.takes import Shot, Take, Takes, frames_of, hash_of
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined


class Benchmark:
    """The takes of a folder under a protocol of `physics_iq.masks`. Raises ClipError as `Takes.find` does."""

    def __init__(self, folder: Path, protocol: str) -> None:
        self.takes, self._protocol = Takes.find(folder), protocol
        self._whole: dict[float, tuple[Measures, int]] = {}

    def compare(self, shot: Shot, clip: Clip) -> tuple[Measures, Measures, dict[str, Any]]:
        """The measures of a clip against take 1, those of take 1 against take 2, and what was compared.

        Raises Undefined for a take that is missing or has another rate or length.
        """
        first, second = (self.takes.take(shot.view, shot.scenario, number, clip.fps) for number in (1, 2))
        real = self._masked(first, clip.fps)
        size = (real.masks.shape[2], real.masks.shape[1])
        own = measure(real, masked_clip(clip.frames, clip.fps, self._protocol, size))
        variance = self._variance(first, second, clip.fps, real)
        shipped = sum(take.masks is not None for take in (first, second))
        return own, variance, {"take": first.video.name, "shipped_masks": shipped, "variance": variance.rounded()}

    def whole(self, fps: float) -> tuple[Measures, int]:
        """Physical variance of the whole benchmark at a rate: means over its scenarios and views, and their number."""
        if fps not in self._whole:
            variances = []
            for first, second in self.takes.pairs(fps):
                try:
                    variances.append(self._variance(first, second, fps).array())
                except Undefined:
                    continue  # the scores of its own clips give the reason
            self._whole[fps] = Measures(*np.mean(variances, axis=0).tolist()), len(variances)
        return self._whole[fps]

    def _masked(self, take: Take, fps: float, size: tuple[int, int] | None = None) -> MaskedClip:
        return masked_clip(frames_of(take.video, fps), fps, self._protocol, size, take.masks)

    def _variance(self, first: Take, second: Take, fps: float, real: MaskedClip | None = None) -> Measures:
        """Take 1 against take 2. Cached by the content of their files; a changed file is measured again."""
        files = [f for take in (first, second) for f in (take.video, take.masks)]
        parts = [PROTOCOLS[self._protocol], *(hash_of(f) if f else "" for f in files), str(fps)]
        key = hashlib.sha256("|".join(parts).encode()).hexdigest()

        def make() -> Any:
            one = real or self._masked(first, fps)
            size = (one.masks.shape[2], one.masks.shape[1])
            return measure(one, self._masked(second, fps, size)).array()

        return Measures(*FeatureCache().keep(key, make).tolist())
