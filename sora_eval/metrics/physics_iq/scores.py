"""Physics-IQ (Motamed et al. 2025) and Physics-IQ Verified (Rädsch et al. 2026): where, when and how much a clip moves,
against real takes of the same scene."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.features.motion_masks import SIGNATURE, Frame, with_masks
from sora_eval.features.view import Array, ClipView, FeatureCache
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.physics_iq.takes import Takes, check_length, frames_of, hash_of, parse_name
from sora_eval.util.errors import Undefined

SHRINK = 4  # of the sides of the real clip
EPSILON = 1e-8  # in the ratios of Verified
MEASURES = ("mse", "spatiotemporal_iou", "spatial_iou", "weighted_spatial_iou")
PROTOCOL = f"{SIGNATURE}|bilinear:1/{SHRINK}|5s"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MaskedClip:
    """A clip as the benchmark reads it: frames (T, h, w, 3) uint8 and motion masks (T, h, w), at a quarter of the real clip's
    size."""

    frames: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]


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


def masked_clip(frames: Iterable[Frame], size: tuple[int, int] | None = None) -> MaskedClip:
    """Frames (H, W, 3) and their masks, bilinearly resized to `size` (width, height), by default a quarter of their own.

    Masks are computed at full size, resized, and thresholded at half. Raises Undefined without a frame.
    """
    small, masks = [], []
    for frame, mask in with_masks(frames):
        size = size or (max(frame.shape[1] // SHRINK, 1), max(frame.shape[0] // SHRINK, 1))
        small.append(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR))
        masks.append(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) > 127)
    if not small:
        raise Undefined("the real take holds no frames")
    return MaskedClip(np.stack(small).astype(np.uint8, copy=False), np.stack(masks))


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


class PhysicsIQ(ClipMetric):
    """Generated clips against two real takes of the same scene; `real` is the folder of the benchmark's takes.

    original: `original_score`, 0 to 100 as a mean. verified: `verified_score`, 0 to 100. The four measures compare the
    clip with take 1; the detail holds those of take 1 and take 2. The prompt's id is the benchmark's name of the clip.
    Changes with fps; the clip's own size matters through its masks.
    """

    outputs = (
        Output("physics_iq.original", "%", True, "0 to 100 as a mean", (0.0, 100.0)),
        Output("physics_iq.verified", "%", True, "0 to 100"),
        Output("physics_iq.mse", "intensity^2", False, "0 to 1"),
        Output("physics_iq.spatiotemporal_iou", "share", True, "0 to 1"),
        Output("physics_iq.spatial_iou", "share", True, "0 to 1"),
        Output("physics_iq.weighted_spatial_iou", "share", True, "0 to 1"),
    )

    def __init__(self, real: str = "") -> None:
        super().__init__()
        self.takes = Takes.find(Path(real)) if real else None
        self.signature = f"physics_iq|{PROTOCOL}|real:{self.takes.content if self.takes else 'none'}"
        self._benchmark: dict[float, tuple[Measures, int]] = {}

    def score(self, view: ClipView) -> Mapping[str, Score]:
        if self.takes is None:
            raise Undefined('no real takes: set real = "FOLDER" in [metrics.physics_iq]')
        name, fps = view.case.prompt.id, view.clip.fps
        shot = parse_name(name)
        if shot is None:
            raise Undefined(f"{name!r} is not a Physics-IQ name, such as 0001_perspective-left_trimmed-ball-and-block-fall")
        check_length(view.clip.num_frames, fps, "the clip")
        paths = [self.takes.path(shot.view, shot.scenario, take, fps) for take in (1, 2)]
        real = masked_clip(frames_of(paths[0], fps))
        clip = measure(real, masked_clip(view.clip.frames, (real.masks.shape[2], real.masks.shape[1])))
        variance = _variance(paths[0], paths[1], fps, real)
        whole, pairs = self._whole(fps)
        detail = {"take": paths[0].name, "variance": _rounded(variance), "benchmark_variance": _rounded(whole), "pairs": pairs}
        out = {f"physics_iq.{m}": Score(getattr(clip, m)) for m in MEASURES}
        out["physics_iq.verified"] = Score(verified_score(clip, variance), detail=detail)
        try:
            out["physics_iq.original"] = Score(original_score(clip, whole), detail=detail)
        except Undefined as reason:
            out["physics_iq.original"] = Score(None, str(reason), detail)
        return out

    def _whole(self, fps: float) -> tuple[Measures, int]:
        """Physical variance of the whole benchmark at a rate: means over its scenarios and views, and their number."""
        assert self.takes is not None
        if fps not in self._benchmark:
            variances = []
            for first, second in self.takes.pairs(fps):
                try:
                    variances.append(_variance(first, second, fps).array())
                except Undefined:
                    continue  # the scores of its own clips give the reason
            self._benchmark[fps] = Measures(*np.mean(variances, axis=0).tolist()), len(variances)
        return self._benchmark[fps]


def _rounded(measures: Measures) -> dict[str, float]:
    return {name: round(value, 6) for name, value in zip(MEASURES, measures.array().tolist(), strict=True)}


def _variance(first: Path, second: Path, fps: float, real: MaskedClip | None = None) -> Measures:
    """Take 1 against take 2. Cached by the content of both files; a changed file is measured again."""
    key = hashlib.sha256(f"{PROTOCOL}|{hash_of(first)}|{hash_of(second)}|{fps}".encode()).hexdigest()

    def make() -> Floats:
        one = real or masked_clip(frames_of(first, fps))
        size = (one.masks.shape[2], one.masks.shape[1])
        return measure(one, masked_clip(frames_of(second, fps), size)).array()

    return Measures(*FeatureCache().keep(key, make).tolist())
