"""Clips: uint8 frames and their rate, read through PyAV and written without loss."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import ClipError

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".m4v")


@dataclass(frozen=True)
class Clip:
    """A video. `frames` (T, H, W, 3) uint8 RGB, `fps` in frames a second, `seconds` what each stage of making it took.

    Raises ClipError when the frames are no clip: what a generator returns is checked here, once.
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
        """Hash of the content (shape and pixels), not of a file."""
        digest = hashlib.sha256(repr(self.frames.shape).encode())
        digest.update(np.ascontiguousarray(self.frames).data)
        return digest.hexdigest()


def read_clip(path: Path) -> Clip:
    """Decode a video file once. Raises ClipError when it is no video, has no frames, or ends early."""
    import av

    if not path.is_file():
        raise ClipError(f"{path} does not exist")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipError(f"{path} has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            promised = stream.frames
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except av.error.FFmpegError as error:
        raise ClipError(
            f"{path} cannot be decoded as a video: {error.strerror}; is it truncated or another kind of file?"
        ) from error
    if not frames:
        raise ClipError(f"{path} holds no frames")
    if promised and len(frames) < promised:
        raise ClipError(f"{path} ends early: {len(frames)} of {promised} frames could be decoded; it is truncated")
    if len({f.shape for f in frames}) > 1:
        raise ClipError(f"{path} changes its frame size while it plays; re-encode it at one size")
    return Clip(np.stack(frames), fps or 8.0)


def write_clip(clip: Clip, path: Path) -> None:
    """Write a clip without loss (FFV1 in Matroska, RGB): a temporary file, then a rename. Raises ClipError, OSError."""
    import av

    partial = path.with_suffix(".part.mkv")
    try:
        with av.open(str(partial), "w", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("ffv1", rate=Fraction(clip.fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "bgr0"
            for frame in clip.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
            container.mux(stream.encode())
    except NotImplementedError as error:  # what PyAV raises where FFV1 cannot cut a frame this small into its slices
        partial.unlink(missing_ok=True)
        raise ClipError(f"a clip of {clip.width}x{clip.height} px is too small to be stored; 4x4 is the least") from error
    os.replace(partial, path)
