"""Clips: uint8 frames and their rate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import ClipError


@dataclass(frozen=True)
class Clip:
    """A video: `frames` (T, H, W, 3) uint8 RGB, `fps` in frames per second, `seconds` of wall time by stage of generation.

    Raises ClipError for frames of another type, shape or dtype and for fps <= 0: the one check of a generator's output.
    """

    frames: npt.NDArray[np.uint8]
    fps: float
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = self.frames
        if not isinstance(frames, np.ndarray):
            raise ClipError(f"frames are a {type(frames).__name__}; expected a numpy array (T, H, W, 3) of uint8")
        if frames.dtype.kind == "f" and not np.isfinite(frames).all():
            raise ClipError("frames hold NaN or infinite values; expected uint8 (T, H, W, 3)")
        if frames.dtype != np.uint8:
            raise ClipError(f"frames are {frames.dtype}; expected uint8, 0 to 255: scale, round and cast them")
        if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
            raise ClipError(f"frames have shape {frames.shape}; expected (T, H, W, 3), none of them 0")
        if not self.fps > 0:
            raise ClipError(f"fps = {self.fps}; expected more than 0")

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
        digest = hashlib.sha256(repr(self.frames.shape).encode())
        digest.update(np.ascontiguousarray(self.frames).data)
        return digest.hexdigest()
