"""Tracks of points in any video: Shi-Tomasi corners and pyramidal Lucas-Kanade with a forward-backward check (OpenCV)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.features.parts import SHORT_MAX, SHORT_MIN, Array, Frame, Frames, Parts, alone
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined
from sora_eval.util.stages import stage

POINTS = 200  # per segment, at most
QUALITY = 0.02  # of the best corner
APART = 5  # px between two corners
SEGMENT = 9  # frames; corners are detected again in the last one, so that new content is tracked too
WINDOW, LEVELS = 15, 3  # px and pyramid levels: steps of up to some 60 px are found
LOOP = 1.0  # px between a point and its place after the forward and the backward step

Floats = npt.NDArray[np.float64]


class PointTracks:
    """Array (segments, POINTS, SEGMENT, 2): places (x, y) on the canvas in shares of its short side, NaN once a point is lost.

    A point is followed from frame to frame until the backward step misses it; a lost point stays lost. Rows without a corner
    are NaN throughout. Segments share their border frames; the last one ends with the clip.
    """

    cached = True
    beside_networks = True
    signature = (
        f"point-tracks|canvas:short{SHORT_MIN}-{SHORT_MAX}|corners:{POINTS}-{QUALITY:g}-{APART}|lk:{WINDOW}-{LEVELS}"
        f"|loop:{LOOP:g}px|segments:{SEGMENT}"
    )

    def __call__(self, clip: Clip) -> Array:
        return alone(self.parts([self], clip, Frames(clip)))

    @staticmethod
    def parts(_: Sequence[PointTracks], clip: Clip, frames: Frames) -> Parts:
        """A part for each segment."""
        if clip.num_frames < 3:
            reason = Undefined(f"{clip.num_frames} frames; laws of motion need at least 3")
            return Parts([], lambda _: [reason])
        starts = range(0, max(clip.num_frames - 2, 1), SEGMENT - 1)
        numbers = [range(s, min(s + SEGMENT, clip.num_frames)) for s in starts]
        return Parts([partial(_segment, frames, some) for some in numbers], lambda segments: [np.stack(segments)])


def _segment(frames: Frames, numbers: range) -> Floats:
    with stage("tracks"):
        return _tracks([_gray(frames.on_canvas(number)) for number in numbers])


def _tracks(grays: Sequence[Frame]) -> Floats:
    out = np.full((POINTS, SEGMENT, 2), np.nan)
    last = grays[0]
    corners = cv2.goodFeaturesToTrack(last, POINTS, QUALITY, APART)
    if corners is None:
        return out
    places = corners.reshape(-1, 2).astype(np.float32)
    rows = np.arange(len(places))
    scale = min(last.shape)
    out[rows, 0] = places / scale
    for t, gray in enumerate(grays[1:], 1):
        if not len(rows):
            break
        there, forward = _follow(last, gray, places)
        back, backward = _follow(gray, last, there)
        height, width = gray.shape
        inside = (there >= 0).all(1) & (there[:, 0] <= width - 1) & (there[:, 1] <= height - 1)
        tracked = forward & backward & inside & (np.linalg.norm(back - places, axis=1) <= LOOP)
        places, rows = there[tracked], rows[tracked]
        out[rows, t] = places / scale
        last = gray
    return out


def _gray(frame: Frame) -> Frame:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def _follow(a: Frame, b: Frame, places: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    moved, status, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
        a, b, places.reshape(-1, 1, 2), None, winSize=(WINDOW, WINDOW), maxLevel=LEVELS
    )
    return moved.reshape(-1, 2), status.reshape(-1) > 0
