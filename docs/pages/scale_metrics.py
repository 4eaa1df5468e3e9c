"""The cheap metrics of `docs/scale.md`, beside a built-in one: a number of all pixels, microseconds a clip."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score


class _OfPixels(ClipMetric):
    """A number of all pixels of a clip, in grey levels, 0 to 255."""

    family = "picture"
    invariant_to = frozenset({"fps", "length", "resolution", "aspect"})

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {self.outputs[0].name: Score(self.of(view.clip.frames))}

    @abstractmethod
    def of(self, frames: npt.NDArray[np.uint8]) -> float:
        """The number of frames (T, H, W, 3)."""


class Brightness(_OfPixels):
    """Mean grey level."""

    outputs = (Output("brightness", "grey levels", None, "0 to 255"),)
    signature = "brightness|mean"

    def of(self, frames: npt.NDArray[np.uint8]) -> float:
        return float(frames.mean())


class Contrast(_OfPixels):
    """Standard deviation of the grey levels."""

    outputs = (Output("contrast", "grey levels", True, "0 to 128"),)
    signature = "contrast|sd"

    def of(self, frames: npt.NDArray[np.uint8]) -> float:
        return float(frames.std())


class Sharpness(_OfPixels):
    """Mean absolute difference of neighbours in a row."""

    outputs = (Output("sharpness", "grey levels", True, "0 to 255"),)
    signature = "sharpness|columns"

    def of(self, frames: npt.NDArray[np.uint8]) -> float:
        return float(np.abs(np.diff(frames.astype(np.int16), axis=2)).mean())


class Colour(_OfPixels):
    """Mean range of the three channels of a pixel."""

    outputs = (Output("colour", "grey levels", True, "0 to 255"),)
    signature = "colour|range"

    def of(self, frames: npt.NDArray[np.uint8]) -> float:
        return float(np.ptp(frames, axis=3).mean())
