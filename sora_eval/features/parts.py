"""Work on the frames of one clip in independent parts, which threads may compute beside the networks.

Extractors that read the same frames share one `Frames`, so that a frame is resized once; those that share their work too, as
the measures of optical flow do, are computed in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined
from sora_eval.util.stages import stage

# Flow and tracks run on a canvas whose short side is between these; DIS needs some 50 px, and large frames cost without gain.
SHORT_MIN, SHORT_MAX = 96, 256

Array = npt.NDArray[Any]
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
    with stage("resize"):
        resized = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


class Frames:
    """The frames of a clip on canvases, each resized when it is first asked for. Threads may ask at once."""

    def __init__(self, clip: Clip) -> None:
        self._frames = clip.frames
        self._canvases: dict[tuple[int, int], Frame] = {}

    def on_canvas(self, number: int, short_min: int = SHORT_MIN) -> Frame:
        """A frame by its number, as `canvas` gives it."""
        key = number, short_min
        if key not in self._canvases:  # two threads at once make the same one
            self._canvases[key] = canvas(self._frames[number], short_min)
        return self._canvases[key]


@dataclass(frozen=True)
class Parts:
    """The `calls`, none of which waits for another, and what `join` makes of their results: a value for each extractor."""

    calls: Sequence[Callable[[], Any]]
    join: Callable[[list[Any]], Sequence[Array | Undefined]]


def alone(parts: Parts) -> Array:
    """The value of the only extractor of a pass, computed here. Raises Undefined like the extractor."""
    (value,) = parts.join([call() for call in parts.calls])
    if isinstance(value, Undefined):
        raise value
    return value


class Pass:
    """One pass over a clip for extractors that share it, in threads once it was begun."""

    def __init__(self, extractors: Sequence[Any], clip: Clip, frames: Frames) -> None:
        self.extractors = extractors
        shared = getattr(extractors[0], "parts", None)
        self._parts = _whole(extractors[0], clip) if shared is None else shared(extractors, clip, frames)
        self._futures: list[Future[Any]] | None = None
        self._values: Sequence[Array | Undefined] | None = None

    def begin(self, threads: Executor) -> None:
        """Compute the parts in threads."""
        self._futures = [threads.submit(call) for call in self._parts.calls]

    def values(self) -> Sequence[Array | Undefined]:
        """The values in the order of the extractors. Raises what a part raised, each time."""
        if self._values is None:
            calls = self._parts.calls
            results = [call() for call in calls] if self._futures is None else [f.result() for f in self._futures]
            self._values = self._parts.join(results)
        return self._values


def _whole(extractor: Any, clip: Clip) -> Parts:
    def call() -> Array | Undefined:
        try:
            value: Array = extractor(clip)
        except Undefined as reason:
            return reason
        return value

    return Parts([call], lambda results: results)
