"""The four measures of Physics-IQ (Motamed et al. 2025), its score, and that of Verified (Rädsch et al. 2026)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sora_eval.features.view import Array
from sora_eval.metrics.physics_iq.masks import MaskedClip
from sora_eval.util.errors import Undefined

EPSILON = 1e-8  # in the ratios of Verified
MEASURES = ("mse", "spatiotemporal_iou", "spatial_iou", "weighted_spatial_iou")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measures:
    """Two clips against each other. mse of intensities in [0, 1], >= 0; the others are intersections over unions, 0 to 1."""

    mse: float
    spatiotemporal_iou: float
    spatial_iou: float
    weighted_spatial_iou: float

    def array(self) -> Floats:
        """The four in the order of `MEASURES`."""
        return np.array([getattr(self, name) for name in MEASURES])

    def rounded(self) -> dict[str, float]:
        """The four by name, to six decimals, for readers."""
        return {name: round(value, 6) for name, value in zip(MEASURES, self.array().tolist(), strict=True)}


def iou(a: Array, b: Array) -> float:
    """Sum of minima over sum of maxima; of masks, intersection over union. 1 where both are empty.

    >>> iou(np.array([1, 1, 0]), np.array([0, 1, 0]))
    0.5
    """
    union = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / union if union else 1.0


def measure(a: MaskedClip, b: MaskedClip) -> Measures:
    """The four measures of two clips of the same number of frames and size."""
    pairs = zip(a.frames, b.frames, strict=True)
    return Measures(
        mse=float(np.mean([np.square(x / 255.0 - y / 255.0).mean() for x, y in pairs])),
        spatiotemporal_iou=float(np.mean([iou(x, y) for x, y in zip(a.masks, b.masks, strict=True)])),
        spatial_iou=iou(a.masks.max(0), b.masks.max(0)),
        weighted_spatial_iou=iou(a.masks.mean(0), b.masks.mean(0)),
    )


def original_score(clip: Measures, variance: Measures) -> float:
    """100 ((ST/vST + S/vS + WS/vWS)/3 - (MSE - vMSE)) with the physical variance of the whole benchmark, not clipped.

    Its mean over all clips, clipped to 0..100, is the published score, which divides means by means. Raises Undefined where
    the real takes have no common motion.
    """
    values, limits = clip.array(), variance.array()
    if not limits[1:].all():
        raise Undefined("nothing moves at the same place in both takes of any scenario: there is nothing to divide by")
    return 100 * float((values[1:] / limits[1:]).mean() - (values[0] - limits[0]))


def verified_score(clip: Measures, variance: Measures) -> float:
    """Mean of the four ratios to the physical variance of the same scenario and view, that of MSE inverted, each clipped
    to [0, 1]; in percent."""
    ratios = clip.array() / (variance.array() + EPSILON)
    with np.errstate(divide="ignore"):
        ratios[0] = 1 / ratios[0]
    return 100 * float(np.clip(ratios, 0, 1).mean())
