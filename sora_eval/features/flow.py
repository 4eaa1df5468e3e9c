"""Optical flow by OpenCV's DIS (Kroeger et al. 2016; no weights) or torchvision's RAFT, and measures of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.features import raft
from sora_eval.features.view import Array
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, WeightsError

# Flow runs on a canvas whose short side is between these; DIS needs some 50 px, and large frames cost without gain.
SHORT_MIN, SHORT_MAX = 96, 256
DYNAMIC_FPS = 8.0
CHUNK = 32  # pairs whose flows are in memory at a time

Floats = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint8]


def canvas(frame: Frame, short_min: int = SHORT_MIN) -> Frame:
    """A frame (H, W, 3) resized to a short side within [`short_min`, 256] px; its aspect ratio stays.

    >>> canvas(np.zeros((32, 48, 3), np.uint8)).shape
    (96, 144, 3)
    """
    height, width = frame.shape[:2]
    short = min(height, width)
    scale = min(max(short, short_min), SHORT_MAX) / short
    if scale == 1:
        return frame
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    resized = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


class Flow:
    """Dense flow (H, W, 2) in px between two canvas frames (H, W, 3): `a(x)` moves to `b(x + flow(x))`. Holds no state.

    `kind` is `dis`, `raft` or `raft_small`; `weights` a file for RAFT, or empty for torchvision's own. Raises WeightsError.
    """

    def __init__(self, kind: str = "dis", weights: str = "") -> None:
        self.kind, self.weights = kind, weights
        if kind == "dis":
            if weights:
                raise WeightsError(f"flow_weights = {weights!r}, but DIS flow has none; set flow = 'raft' or leave them out")
            self.short_min, name = SHORT_MIN, "dis-medium"
        else:
            self.short_min, name = raft.SHORT_MIN, raft.signature(kind, weights)
        self.signature = f"flow:{name}|canvas:short{self.short_min}-{SHORT_MAX}"

    def canvas(self, frame: Frame) -> Frame:
        """The frame at the size of this flow's input."""
        return canvas(frame, self.short_min)

    @property
    def is_network(self) -> bool:
        """Whether a network computes it, on the device of the networks."""
        return self.kind != "dis"

    def __call__(self, a: Frame, b: Frame) -> Floats:
        return next(self.of_pairs([(a, b)]))

    def of_pairs(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Floats]:
        """The flow of each pair of canvas frames, all of one size; a network sees several pairs at a time."""
        for start in range(0, len(pairs), CHUNK):
            part = pairs[start : start + CHUNK]
            yield from raft.flows(self.kind, self.weights, part) if self.is_network else (_dis(a, b) for a, b in part)


def _dis(a: Frame, b: Frame) -> Floats:
    # Created each time, since OpenCV's objects cannot be pickled; it costs microseconds.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    gray = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (a, b)]
    return np.asarray(dis.calc(gray[0], gray[1], None), np.float32)  # type: ignore[call-overload]


class ClipFlow:
    """The flow (T - 1, H, W, 2) in px of the canvas from every frame of a clip to the next."""

    cached = False  # as large as the clip itself

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        self.flow = Flow(flow, weights)
        self.beside_networks = not self.flow.is_network
        self.signature = f"clip-flow|{self.flow.signature}"

    def __call__(self, clip: Clip) -> Array:
        if clip.num_frames < 2:
            raise Undefined("1 frame; a temporal metric needs at least 2")
        frames = [self.flow.canvas(f) for f in clip.frames]
        return np.stack(list(self.flow.of_pairs(list(pairwise(frames)))))


def warp(image: Floats, flow: Floats) -> Floats:
    """`image` (H, W, C) sampled at x + flow(x), bilinear; flow (H, W, 2) in px, borders repeat.

    >>> step = np.tile(np.float32([1, 0]), (1, 3, 1))  # one px to the right
    >>> warp(np.float32([[1, 2, 3]]), step).tolist()
    [[2.0, 3.0, 3.0]]
    """
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    mapped = cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(mapped, np.float32)


def occlusion_free(forward: Floats, backward: Floats) -> npt.NDArray[np.bool_]:
    """Pixels (H, W) that forward flow f and backward flow b, (H, W, 2), agree on: |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5.

    b is sampled at x + f(x). Sundaram et al. 2010.
    """
    back = warp(backward, forward)
    loop = np.square(forward + back).sum(-1)
    visible: npt.NDArray[np.bool_] = loop < 0.01 * (np.square(forward).sum(-1) + np.square(back).sum(-1)) + 0.5
    return visible


class PairWarping:
    """Array (T - 1, 2), for each pair of frames: mean squared difference, intensities in [0, 1], to the warped next frame over
    the unoccluded pixels (NaN without any), and their share."""

    cached = True

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        self.flow = Flow(flow, weights)
        self.beside_networks = not self.flow.is_network
        self.signature = f"pair-warping|{self.flow.signature}|occlusion:forward-backward"

    def __call__(self, clip: Clip) -> Array:
        if clip.num_frames < 2:
            raise Undefined("1 frame; a temporal metric needs at least 2")
        flow = self.flow
        frames = [flow.canvas(f) for f in clip.frames]
        pairs = list(pairwise(frames))
        flows = flow.of_pairs([each for a, b in pairs for each in ((a, b), (b, a))])
        out = np.empty((len(pairs), 2))
        for i, (frame, following) in enumerate(pairs):
            forward = next(flows)
            mask = occlusion_free(forward, next(flows))
            warped = warp(following.astype(np.float32) / np.float32(255), forward)
            error = np.square(warped - frame.astype(np.float32) / np.float32(255)).mean(-1)
            out[i] = (error[mask].mean() if mask.any() else np.nan), mask.mean()
        return out


class MiddleFrames:
    """Array ((T - 1) // 2,), for each odd frame: mean absolute difference, 0..255, to its interpolation.

    The two neighbours are warped half way along the flow between them and averaged. The frame's own flow is not used, so a
    frame that breaks the motion of its neighbours has a large difference.
    """

    cached = True

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        self.flow = Flow(flow, weights)
        self.beside_networks = not self.flow.is_network
        self.signature = f"middle-frames|{self.flow.signature}|half-way-warps"

    def __call__(self, clip: Clip) -> Array:
        if clip.num_frames < 3:
            raise Undefined(f"{clip.num_frames} frames; interpolation needs at least 3")
        flow = self.flow
        out = np.empty((clip.num_frames - 1) // 2)
        frames = [flow.canvas(f) for f in clip.frames]
        triples = [frames[2 * i : 2 * i + 3] for i in range(len(out))]
        flows = flow.of_pairs([each for a, _, b in triples for each in ((a, b), (b, a))])
        for i, (before, middle, after) in enumerate(triples):
            # At the place x of the middle frame, what moves by f came from x - f/2 and goes to x + f/2.
            there, back = next(flows), next(flows)
            halves = [warp(f.astype(np.float32), w * np.float32(0.5)) for f, w in ((before, back), (after, there))]
            out[i] = np.abs((halves[0] + halves[1]) / 2 - middle).mean()
        return out


class PairMotion:
    """Array (pairs,), for each pair of frames 1/8 s apart: mean of the largest 5 % of flow, in short sides per 1/8 s.

    VBench takes every round(fps / 8)-th frame, 5.3 to 12 fps, and its motion per pair follows. Here the frame next to every
    eighth of a second is taken, and the motion is scaled from the time between them to 1/8 s: at multiples of 8 fps the
    same. Below 8 fps all frames are taken.
    """

    cached = True

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        self.flow = Flow(flow, weights)
        self.beside_networks = not self.flow.is_network
        self.signature = f"pair-motion|{self.flow.signature}|per:1/{DYNAMIC_FPS:g}s-by-time|top5%"

    def __call__(self, clip: Clip) -> Array:
        index = eighths(clip.num_frames, clip.fps)
        if len(index) < 2:
            raise Undefined(f"{clip.num_frames} frames at {clip.fps:g} fps; motion needs at least two at about 8 fps")
        flow = self.flow
        frames = [flow.canvas(f) for f in clip.frames[index]]
        short = min(frames[0].shape[:2])
        out = np.empty(len(index) - 1)
        for i, (step, moved) in enumerate(zip(np.diff(index), flow.of_pairs(list(pairwise(frames))), strict=True)):
            magnitude = np.hypot(*np.moveaxis(moved, -1, 0)).ravel()
            number = max(int(0.05 * magnitude.size), 1)
            top = np.partition(magnitude, -number)[-number:]
            out[i] = top.mean(dtype=np.float64) / short * (clip.fps / (DYNAMIC_FPS * step))
        return out


def eighths(frames: int, fps: float) -> npt.NDArray[np.intp]:
    """Numbers of the frames next to every 1/8 s of a clip, each once.

    >>> eighths(12, 11.0).tolist(), eighths(9, 24.0).tolist(), eighths(3, 4.0).tolist()
    ([0, 1, 3, 4, 6, 7, 8, 10, 11], [0, 3, 6], [0, 1, 2])
    """
    number = int((frames - 1) * DYNAMIC_FPS / fps + 1e-6) + 1
    return np.unique(np.minimum(np.floor(np.arange(number) * fps / DYNAMIC_FPS + 0.5).astype(np.intp), frames - 1))
