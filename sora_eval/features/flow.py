"""Optical flow by OpenCV's DIS (Kroeger et al. 2016; no weights) or torchvision's RAFT, and measures of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.features import raft
from sora_eval.features.parts import SHORT_MAX, SHORT_MIN, Array, Frame, Frames, Parts, alone, canvas
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, WeightsError
from sora_eval.util.stages import stage

DYNAMIC_FPS = 8.0
CHUNK = 32  # pairs that a network is given at a time, at most
STEPS = 4  # of a clip in one part: some 0.2 s of DIS, forward and backward

Floats = npt.NDArray[np.float32]


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
    with stage("flow"):
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
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    mapped = cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(mapped, np.float32)


def occlusion_free(forward: Floats, backward: Floats) -> npt.NDArray[np.bool_]:
    """Pixels (H, W) that forward flow f and backward flow b, (H, W, 2), agree on: |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5.

    b is sampled at x + f(x). Sundaram et al. 2010.
    """
    back = warp(backward, forward)
    visible: npt.NDArray[np.bool_] = _squared(forward + back) < 0.01 * (_squared(forward) + _squared(back)) + 0.5
    return visible


def _squared(flow: Floats) -> Floats:
    """Squared lengths (H, W) of vectors (H, W, 2): numpy's sum over the last axis gives the same bits ten times slower."""
    return np.asarray(np.square(flow[..., 0]) + np.square(flow[..., 1]), np.float32)


@dataclass(frozen=True)
class Step:
    """The flow between two frames of a clip, by their numbers; `backward` (H, W, 2) where a measure asks for it."""

    first: int
    second: int
    forward: Floats
    backward: Floats | None


class _FlowMeasure:
    """A measure of the flow between pairs of frames. Those of one flow share a pass: each flow is computed once."""

    cached = True
    both = True  # forward and backward

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        self.flow = Flow(flow, weights)
        self.beside_networks = not self.flow.is_network
        self.shares = self.flow.signature

    def __call__(self, clip: Clip) -> Array:
        return alone(self.parts([self], clip, Frames(clip)))

    @abstractmethod
    def pairs(self, clip: Clip) -> list[tuple[int, int]]:
        """The pairs of frames, by their numbers. Raises Undefined."""

    @abstractmethod
    def row(self, clip: Clip, frames: Frames, step: Step) -> tuple[float, ...]:
        """The measure of one pair."""

    @staticmethod
    def parts(measures: Sequence[_FlowMeasure], clip: Clip, frames: Frames) -> Parts:
        """The parts of a pass for several measures of one flow."""
        flow = measures[0].flow
        asking: dict[tuple[int, int], list[int]] = {}
        undefined: dict[int, Undefined] = {}
        for number, measure in enumerate(measures):
            try:
                for pair in measure.pairs(clip):
                    asking.setdefault(pair, []).append(number)
            except Undefined as reason:
                undefined[number] = reason
        steps = sorted(asking.items())

        def part(some: Sequence[tuple[tuple[int, int], list[int]]]) -> list[tuple[int, tuple[float, ...]]]:
            both = [any(measures[number].both for number in numbers) for _, numbers in some]
            directed = [p for (pair, _), back in zip(some, both, strict=True) for p in (pair, pair[::-1])[: 1 + back]]
            flows = flow.of_pairs(
                [(frames.on_canvas(a, flow.short_min), frames.on_canvas(b, flow.short_min)) for a, b in directed]
            )
            rows = []
            for (pair, numbers), back in zip(some, both, strict=True):
                step = Step(*pair, next(flows), next(flows) if back else None)
                rows += [(number, measures[number].row(clip, frames, step)) for number in numbers]
            return rows

        def join(results: list[list[tuple[int, tuple[float, ...]]]]) -> list[Array | Undefined]:
            rows: list[list[tuple[float, ...]]] = [[] for _ in measures]
            for number, row in chain.from_iterable(results):
                rows[number].append(row)  # in the order of the pairs
            return [undefined.get(n) or _array(own) for n, own in enumerate(rows)]

        size = CHUNK if flow.is_network else STEPS
        return Parts([partial(part, steps[i : i + size]) for i in range(0, len(steps), size)], join)


class PairWarping(_FlowMeasure):
    """Array (T - 1, 2), for each pair of frames: mean squared difference, intensities in [0, 1], to the warped next frame over
    the unoccluded pixels (NaN without any), and their share."""

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        super().__init__(flow, weights)
        self.signature = f"pair-warping|{self.flow.signature}|occlusion:forward-backward"

    def pairs(self, clip: Clip) -> list[tuple[int, int]]:
        if clip.num_frames < 2:
            raise Undefined("1 frame; a temporal metric needs at least 2")
        return list(pairwise(range(clip.num_frames)))

    def row(self, clip: Clip, frames: Frames, step: Step) -> tuple[float, ...]:
        assert step.backward is not None
        frame, following = (_intensities(frames.on_canvas(i, self.flow.short_min)) for i in (step.first, step.second))
        mask = occlusion_free(step.forward, step.backward)
        red, green, blue = np.moveaxis(np.square(warp(following, step.forward) - frame), -1, 0)
        error = (red + green + blue) / 3  # numpy's mean over the last axis: the same bits, several times slower
        return float(error[mask].mean()) if mask.any() else np.nan, float(mask.mean())


class MiddleFrames(_FlowMeasure):
    """Array ((T - 1) // 2,), for each odd frame: mean absolute difference, 0..255, to its interpolation.

    The two neighbours are warped half way along the flow between them and averaged. The frame's own flow is not used, so a
    frame that breaks the motion of its neighbours has a large difference.
    """

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        super().__init__(flow, weights)
        self.signature = f"middle-frames|{self.flow.signature}|half-way-warps"

    def pairs(self, clip: Clip) -> list[tuple[int, int]]:
        if clip.num_frames < 3:
            raise Undefined(f"{clip.num_frames} frames; interpolation needs at least 3")
        return [(i, i + 2) for i in range(0, clip.num_frames - 2, 2)]

    def row(self, clip: Clip, frames: Frames, step: Step) -> tuple[float, ...]:
        assert step.backward is not None
        numbers = step.first, step.first + 1, step.second
        before, middle, after = (frames.on_canvas(i, self.flow.short_min) for i in numbers)
        # At the place x of the middle frame, what moves by f came from x - f/2 and goes to x + f/2.
        halves = [warp(f.astype(np.float32), w * np.float32(0.5)) for f, w in ((before, step.backward), (after, step.forward))]
        return (float(np.abs((halves[0] + halves[1]) / 2 - middle).mean()),)


class PairMotion(_FlowMeasure):
    """Array (pairs,), for each pair of frames 1/8 s apart: mean of the largest 5 % of flow, in short sides per 1/8 s.

    VBench takes every round(fps / 8)-th frame, 5.3 to 12 fps, and its motion per pair follows. Here the frame next to every
    eighth of a second is taken, and the motion is scaled from the time between them to 1/8 s: at multiples of 8 fps the
    same. Below 8 fps all frames are taken.
    """

    both = False

    def __init__(self, flow: str = "dis", weights: str = "") -> None:
        super().__init__(flow, weights)
        self.signature = f"pair-motion|{self.flow.signature}|per:1/{DYNAMIC_FPS:g}s-by-time|top5%"

    def pairs(self, clip: Clip) -> list[tuple[int, int]]:
        index = eighths(clip.num_frames, clip.fps)
        if len(index) < 2:
            raise Undefined(f"{clip.num_frames} frames at {clip.fps:g} fps; motion needs at least two at about 8 fps")
        return list(pairwise(index.tolist()))

    def row(self, clip: Clip, frames: Frames, step: Step) -> tuple[float, ...]:
        magnitude = np.hypot(step.forward[..., 0], step.forward[..., 1]).ravel()
        number = max(int(0.05 * magnitude.size), 1)
        top = np.partition(magnitude, -number)[-number:]
        short = min(step.forward.shape[:2])
        return (float(top.mean(dtype=np.float64) / short * (clip.fps / (DYNAMIC_FPS * (step.second - step.first)))),)


def _array(rows: Sequence[tuple[float, ...]]) -> Array:
    """(n, k) of n rows, and (n,) where a row has one value."""
    values = np.array(rows, np.float64)
    return values[:, 0] if values.shape[1] == 1 else values


def _intensities(frame: Frame) -> Floats:
    return frame.astype(np.float32) / np.float32(255)


def eighths(frames: int, fps: float) -> npt.NDArray[np.intp]:
    """Numbers of the frames next to every 1/8 s of a clip, each once.

    >>> eighths(12, 11.0).tolist(), eighths(9, 24.0).tolist(), eighths(3, 4.0).tolist()
    ([0, 1, 3, 4, 6, 7, 8, 10, 11], [0, 3, 6], [0, 1, 2])
    """
    number = int((frames - 1) * DYNAMIC_FPS / fps + 1e-6) + 1
    return np.unique(np.minimum(np.floor(np.arange(number) * fps / DYNAMIC_FPS + 0.5).astype(np.intp), frames - 1))
