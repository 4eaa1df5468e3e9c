"""Temporal consistency of a clip, and how much it moves."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.features.flow import MiddleFrames, PairMotion, PairWarping
from sora_eval.features.image_text import ALL_FRAMES, FrameEmbeddings
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.util.errors import Undefined

# Signatures begin with VBench's name alone where the network is VBench's too; else with NAME-not-NETWORK, since the formula
# on another network gives another number.

# VBench: a pair moves when its largest 5 % of flow exceeds 6 px at a short side of 256.
MOVING = 6.0 / 256.0


class TemporalFlickering(ClipMetric):
    """VBench's temporal flickering: (255 - mean absolute difference of consecutive frames) / 255.

    0 to 1, higher is better; a still picture has 1, so read it beside `dynamic_degree`. Changes with fps. VBench first drops
    clips that move, by RAFT flow (its static filter), and scores prompts made for it; here every clip has a score.
    """

    outputs = (Output("temporal_flickering", "1", True, "0 to 1", (0.0, 1.0)),)
    signature = "temporal_flickering|vbench|native-size|native-fps"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {"temporal_flickering": Score(temporal_flickering(view.clip.frames))}


def temporal_flickering(frames: npt.NDArray[np.uint8]) -> float:
    """(255 - mean |f[t+1] - f[t]|) / 255 of frames (T, H, W, 3) uint8. Raises Undefined for one frame.

    >>> temporal_flickering(np.array([0, 51], np.uint8).reshape(2, 1, 1, 1))
    0.8
    """
    if len(frames) < 2:
        raise Undefined("1 frame; a temporal metric needs at least 2")
    means = [cv2.norm(a, b, cv2.NORM_L1) / a.size for a, b in pairwise(frames)]  # sums of whole numbers: exact
    return (255.0 - float(np.mean(means))) / 255.0


class _Consistency(ClipMetric):
    """VBench's consistency of frame features: similarity of each frame to the one before it and to the first one.

    Mean over i >= 1 of (max(0, cos(f_i, f_i-1)) + max(0, cos(f_i, f_0))) / 2. First averaged over a clip, then over
    clips: VBench's own result mixes the two and so depends on the number of GPUs.
    """

    published: tuple[str, ...]  # VBench's network, as specs begin
    otherwise: str

    def __init__(self, model: str = "world") -> None:
        super().__init__()
        self.extractor = FrameEmbeddings(model, ALL_FRAMES)
        name = self.outputs[0].name + ("" if model.startswith(self.published) else self.otherwise)
        self.signature = f"{name}|vbench-formula|{self.extractor.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {self.outputs[0].name: Score(consistency(view.features(self.extractor)))}


class SubjectConsistency(_Consistency):
    """VBench's subject consistency. VBench's network is DINO ViT-B/16: `model = "timm:vit_base_patch16_224.dino"`.

    0 to 1, higher is better; a still picture has 1, so read it beside `dynamic_degree`. Changes with fps.
    """

    outputs = (Output("subject_consistency", "cos", True, "0 to 1", (0.0, 1.0)),)
    published, otherwise = ("timm:vit_base_patch16_224.dino",), "-not-dino"


class BackgroundConsistency(_Consistency):
    """VBench's background consistency. VBench's network is CLIP ViT-B/32: `model = "ViT-B-32:openai"`.

    0 to 1, higher is better; a still picture has 1, so read it beside `dynamic_degree`. Changes with fps.
    """

    outputs = (Output("background_consistency", "cos", True, "0 to 1", (0.0, 1.0)),)
    published, otherwise = ("ViT-B-32:openai",), "-not-clip-b32"


def consistency(features: npt.NDArray[np.float32]) -> float:
    """VBench's formula on unit vectors (n, D): mean of max(0, cos) to the last and to the first frame; 0 to 1.

    Raises Undefined for one frame.

    >>> consistency(np.float32([[1, 0], [1, 0], [0, 1]]))
    0.5
    """
    if len(features) < 2:
        raise Undefined("1 frame; a temporal metric needs at least 2")
    f = features.astype(np.float64)
    to_last = np.clip((f[1:] * f[:-1]).sum(1), 0, None)
    to_first = np.clip(f[1:] @ f[0], 0, None)
    return float(((to_last + to_first) / 2).mean())


class MotionSmoothness(ClipMetric):
    """VBench's motion smoothness, (255 - mean absolute difference of every second frame to its interpolation) / 255.

    VBench interpolates with the network AMT at a scale that depends on the GPU's memory; here half-way warps along optical
    flow do, on a fixed canvas. 0 to 1, higher is better; a still picture has 1. Changes with fps.
    """

    outputs = (Output("motion_smoothness", "1", True, "0 to 1", (0.0, 1.0)),)

    def __init__(self, flow: str = "dis", flow_weights: str = "") -> None:
        super().__init__()
        self.extractor = MiddleFrames(flow, flow_weights)
        self.signature = f"motion_smoothness-not-amt|vbench-formula|{self.extractor.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        errors = view.features(self.extractor)
        detail = {"worst_frame": int(2 * errors.argmax() + 1)}
        return {"motion_smoothness": Score((255.0 - float(errors.mean())) / 255.0, detail=detail)}


class WarpingError(ClipMetric):
    """Warping error (Lai et al. 2018): mean squared difference of frame t and frame t+1 warped to it, unoccluded px.

    Intensities in [0, 1], so the unit is squared intensity; lower is better. Flow on a fixed canvas, by OpenCV's DIS or
    torchvision's RAFT.
    """

    outputs = (Output("warping_error", "intensity^2", False, ">= 0"),)

    def __init__(self, flow: str = "dis", flow_weights: str = "") -> None:
        super().__init__()
        self.extractor = PairWarping(flow, flow_weights)
        self.signature = f"warping_error|{self.extractor.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        pairs = view.features(self.extractor)
        errors = pairs[np.isfinite(pairs[:, 0]), 0]
        if not len(errors):
            raise Undefined("every pixel of every pair is occluded: the flow found no correspondence")
        detail = {"unoccluded": round(float(pairs[:, 1].mean()), 4)}
        return {"warping_error": Score(float(errors.mean()), detail=detail)}


class DynamicDegree(ClipMetric):
    """The rule of VBench's dynamic degree: 1 if enough pairs of frames (round(4 n / 16) of n frames, at 8 fps) move.

    A pair moves when the largest 5 % of its flow exceed 6 px per 1/8 s at a short side of 256. VBench's flow is RAFT's, and
    its frames are those of `PairMotion` at multiples of 8 fps. Also the continuous magnitude: mean over pairs of the largest
    5 % of flow, in percent of the short side per 1/8 s. Neither rates the quality of motion; both identify still clips.
    """

    outputs = (
        Output("dynamic_degree", "share", True, "0 or 1", (0.0, 1.0)),
        Output("dynamic_degree.magnitude", "% of short side", None, ">= 0"),
    )

    def __init__(self, flow: str = "dis", flow_weights: str = "") -> None:
        super().__init__()
        self.extractor = PairMotion(flow, flow_weights)
        name = "dynamic_degree" if flow == "raft" else "dynamic_degree-not-raft"
        self.signature = f"{name}|vbench-rule|{self.extractor.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        pairs = view.features(self.extractor)
        needed = max(round(4 * (len(pairs) + 1) / 16), 1)
        moving = int((pairs > MOVING).sum())
        return {
            "dynamic_degree": Score(float(moving >= needed), detail={"moving_pairs": moving, "needed": needed}),
            "dynamic_degree.magnitude": Score(float(100 * pairs.mean())),
        }
