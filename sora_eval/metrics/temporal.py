"""Does the clip hang together over time, and does it move at all?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sora_eval.features.base import ClipView, Undefined
from sora_eval.features.flow import PairMotion, PairWarping
from sora_eval.metrics.base import ClipMetric, Output, Score

# VBench: a pair moves when its largest 5 % of flow exceeds 6 px at a short side of 256.
MOVING = 6.0 / 256.0


class TemporalFlickering(ClipMetric):
    """VBench's temporal flickering: (255 - mean absolute difference of consecutive frames) / 255.

    0 to 1, higher is better; a still picture has 1, so read it beside `dynamic_degree`. Changes with fps.
    """

    outputs = (Output("temporal_flickering", "1", True, "0 to 1"),)
    signature = "temporal_flickering|vbench|native-size|native-fps"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {"temporal_flickering": Score(temporal_flickering(view.clip.frames))}


def temporal_flickering(frames: npt.NDArray[np.uint8]) -> float:
    """(255 - mean |f[t+1] - f[t]|) / 255 of frames (T, H, W, 3). Raises Undefined for one frame."""
    if len(frames) < 2:
        raise Undefined("1 frame; a temporal metric needs at least 2")
    # int16: uint8 would wrap around, and a pair at a time keeps long clips small.
    pairs = zip(frames[:-1], frames[1:], strict=True)
    means = [float(np.abs(b.astype(np.int16) - a.astype(np.int16)).mean()) for a, b in pairs]
    return (255.0 - float(np.mean(means))) / 255.0


class WarpingError(ClipMetric):
    """Warping error (Lai et al. 2018): mean squared difference of frame t and frame t+1 warped to it, unoccluded px.

    Intensities in [0, 1], so the unit is squared intensity; lower is better. Flow by OpenCV DIS on a fixed canvas.
    """

    outputs = (Output("warping_error", "intensity^2", False, ">= 0"),)
    extractor = PairWarping()
    signature = f"warping_error|{PairWarping.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        pairs = view.features(self.extractor)
        seen = pairs[np.isfinite(pairs[:, 0])]
        if not len(seen):
            raise Undefined("every pixel of every pair is occluded: the flow found no correspondence")
        detail = {"unoccluded": round(float(pairs[:, 1].mean()), 4)}
        return {"warping_error": Score(float(seen[:, 0].mean()), detail=detail)}


class DynamicDegree(ClipMetric):
    """VBench's dynamic degree: 1 if enough pairs of frames (round(4 n / 16) of n frames, at about 8 fps) move.

    Also the continuous magnitude: mean over pairs of the largest 5 % of flow, in percent of the short side a frame.
    Neither says that motion is good; they say that a still clip is still.
    """

    outputs = (
        Output("dynamic_degree", "share", True, "0 or 1"),
        Output("dynamic_degree.magnitude", "% of short side", None, ">= 0"),
    )
    extractor = PairMotion()
    signature = f"dynamic_degree|vbench|{PairMotion.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        pairs = view.features(self.extractor)
        needed = max(round(4 * (len(pairs) + 1) / 16), 1)
        moving = int((pairs > MOVING).sum())
        return {
            "dynamic_degree": Score(float(moving >= needed), detail={"moving_pairs": moving, "needed": needed}),
            "dynamic_degree.magnitude": Score(float(100 * pairs.mean())),
        }
