"""Clips: uint8 frames and their rate."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import ClipError
from sora_eval.util.stages import stage

LEAST_FPS, MOST_FPS = 1e-3, 1e5  # rates that a video file can hold
MOST_STAGES = 100


@dataclass(frozen=True)
class Clip:
    """A video: `frames` (T, H, W, 3) uint8 RGB, `fps` in frames per second, `seconds` of wall time by stage of generation, and
    `notes`, what was assumed where its file left something open.

    The frames are the clip's own and read-only: an array that could change later is copied. Raises ClipError for frames of
    another type, shape or dtype, for a rate that is none, and for times that are none: the one check of a generator's output.
    """

    frames: npt.NDArray[np.uint8]
    fps: float
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", _own(self.frames))
        object.__setattr__(self, "fps", _rate(self.fps))
        object.__setattr__(self, "seconds", _times(self.seconds))

    @property
    def num_frames(self) -> int:
        return len(self.frames)

    @property
    def height(self) -> int:
        return int(self.frames.shape[1])

    @property
    def width(self) -> int:
        return int(self.frames.shape[2])

    @cached_property
    def sha256(self) -> str:
        """Hash of the content (shape and pixels), not of a file, as 64 hex digits."""
        with stage("hash"):
            digest = hashlib.sha256(repr(self.frames.shape).encode())
            digest.update(np.ascontiguousarray(self.frames).data)
            return digest.hexdigest()


def _own(frames: Any) -> npt.NDArray[np.uint8]:
    if not isinstance(frames, np.ndarray):
        raise ClipError(f"frames are a {type(frames).__name__}; expected a numpy array (T, H, W, 3) of uint8")
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        raise ClipError("frames hold NaN or infinite values; expected uint8 (T, H, W, 3)")
    if frames.dtype != np.uint8:
        raise ClipError(f"frames are {frames.dtype}; expected uint8, 0 to 255: scale, round and cast them")
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ClipError(f"frames have shape {frames.shape}; expected (T, H, W, 3), none of them 0")
    if frames.flags.writeable or not frames.flags.owndata or type(frames) is not np.ndarray:
        frames = np.array(frames, np.uint8, order="C")  # its maker may write the next clip into the same memory
        frames.flags.writeable = False
    return np.asarray(frames, np.uint8)


def _rate(fps: Any) -> float:
    if not isinstance(fps, Real) or isinstance(fps, bool) or not LEAST_FPS <= float(fps) <= MOST_FPS:
        raise ClipError(f"fps = {fps!r:.60}; expected a number from {LEAST_FPS:g} to {MOST_FPS:g}")
    return float(fps)


def _times(seconds: Any) -> dict[str, float]:
    if not isinstance(seconds, Mapping) or len(seconds) > MOST_STAGES:
        raise ClipError(f"seconds are a {type(seconds).__name__}; expected seconds by stage, at most {MOST_STAGES} stages")
    for name, value in seconds.items():
        if not isinstance(name, str) or not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            raise ClipError(f"seconds of the stage {name!r:.60} = {value!r:.60}; expected a finite number of at least 0")
    return {str(name): float(value) for name, value in seconds.items()}
