"""Tracks of coloured objects on grey grounds, to a fraction of a pixel and without a network.

On a grey ground a pixel's chroma is its coverage times the object's chroma, so coverage, and with it the centroid, can
be read back. Objects are distinguished by hue, one of six, as the reference world draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.records.clip import Clip

if TYPE_CHECKING:
    from sora_eval.features.view import Array

COLOURS = ("red", "yellow", "green", "cyan", "blue", "magenta")  # 0, 60, ... 300 degrees
FULL_CHROMA = 200.0  # grey levels; of the world's colours
COVERED = 0.35  # of a pixel; half-covered edges belong, tinted noise does not
MIN_AREA = 8.0  # px; a fifth of the smallest object of the world
FIELDS = ("x", "y", "area", "width", "height", "left", "top", "right", "bottom", "blobs")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """The largest blob of one colour over time, in px, NaN where it is not seen.

    Centroid `position` (T, 2), `area` (T,), mean extent `box` (T, 2), outermost edges `low` and `high` (T, 2), all (x, y).
    `blobs` (T,) is the number of separate objects of the colour.
    """

    colour: str
    position: Floats
    area: Floats
    box: Floats
    low: Floats
    high: Floats
    blobs: npt.NDArray[np.int64]

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Frames (T,) in which the colour is visible."""
        return self.blobs > 0

    @staticmethod
    def missing(colour: str, num_frames: int) -> Track:
        """The track of a colour that is never seen."""
        return _track(colour, _unseen(num_frames))


class BlobTracks:
    """Array (T, 6, 10): for every frame and hue the fields `FIELDS` of the largest blob."""

    cached = False
    signature = f"blob-tracks-2|hues:6|covered:{COVERED:g}|min-area:{MIN_AREA:g}"

    def __call__(self, clip: Clip) -> Array:
        return np.stack([_blobs(frame) for frame in clip.frames])


def tracks(values: Array) -> dict[str, Track]:
    """The values (T, 6, 10) of `BlobTracks` as tracks by colour, of the colours that are seen at least once."""
    return {c: _track(c, values[:, i]) for i, c in enumerate(COLOURS) if (values[:, i, -1] > 0).any()}


def _track(colour: str, one: Array) -> Track:
    return Track(colour, one[:, 0:2], one[:, 2], one[:, 3:5], one[:, 5:7], one[:, 7:9], one[:, 9].astype(np.int64))


def _unseen(rows: int) -> Floats:
    out = np.full((rows, len(FIELDS)), np.nan)
    out[:, -1] = 0
    return out


def _blobs(frame: npt.NDArray[np.uint8]) -> Floats:
    image = frame.astype(np.float64)
    coverage = np.minimum((image.max(-1) - image.min(-1)) / FULL_CHROMA, 1.0)  # (H, W)
    hue = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 0].astype(np.int64)  # 0..179, two degrees per step
    nearest = ((hue + 15) // 30) % 6
    out = _unseen(6)
    for i in np.unique(nearest[coverage > COVERED]):
        mask = ((nearest == i) & (coverage > COVERED)).astype(np.uint8)
        number, labels = cv2.connectedComponents(mask, connectivity=8)
        blobs = []
        for label in range(1, number):
            # One pixel around the core holds the soft edge.
            near = cv2.dilate((labels == label).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            weight = np.where(near & (nearest == i), coverage, 0.0)
            if weight.sum() >= MIN_AREA:
                blobs.append(weight)
        if blobs:
            weight = max(blobs, key=lambda w: float(w.sum()))
            area = weight.sum()
            rows, columns = weight.max(1), weight.max(0)
            y = (weight.sum(1) @ (np.arange(len(rows)) + 0.5)) / area
            x = (weight.sum(0) @ (np.arange(len(columns)) + 0.5)) / area
            (left, right), (top, bottom) = _edges(columns), _edges(rows)
            out[i] = x, y, area, columns.sum(), rows.sum(), left, top, right, bottom, len(blobs)
    return out


def _edges(profile: Floats) -> tuple[float, float]:
    """The ends of the covered part of a profile, in px; a first pixel that is covered by a third begins two thirds into it."""
    inside = np.flatnonzero(profile)
    first, last = int(inside[0]), int(inside[-1])
    return first + 1 - float(profile[first]), last + float(profile[last])
