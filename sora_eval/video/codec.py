"""Video files to frames and back: read through PyAV, written without loss."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from sora_eval.records.clip import Clip
from sora_eval.util.errors import ClipError, line_of
from sora_eval.util.files import replacing

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".m4v")


def read_clip(path: Path) -> Clip:
    """The clip of a video file, frames (T, H, W, 3) uint8; 8 fps where the file has no rate.

    Raises ClipError where it is missing, no video, without frames, truncated, or changes its frame size.
    """
    import av

    if not path.is_file():
        raise ClipError(f"{path} does not exist")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise ClipError(f"{path} has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            announced = stream.frames
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except MemoryError as error:  # PyAV's is an FFmpegError too
        raise ClipError(f"{path} is too large to be decoded: out of memory") from error
    except (av.error.FFmpegError, ValueError, ArithmeticError, NotImplementedError) as error:
        fault = getattr(error, "strerror", None) or line_of(error)
        raise ClipError(f"{path} cannot be decoded as a video: {fault}; is it truncated or another kind of file?") from error
    if not frames:
        raise ClipError(f"{path} holds no frames")
    if announced and len(frames) < announced:
        raise ClipError(f"{path} ends early: {len(frames)} of {announced} frames could be decoded; it is truncated")
    if len({f.shape for f in frames}) > 1:
        raise ClipError(f"{path} changes its frame size while it plays; re-encode it at one size")
    try:
        video = np.stack(frames).astype(np.uint8, copy=False)
    except MemoryError as error:
        raise ClipError(f"{path} is too large to be decoded: out of memory") from error
    video.flags.writeable = False  # the clip's own: it needs no copy
    return Clip(video, fps or 8.0)


def write_clip(clip: Clip, path: Path) -> None:
    """Write a clip without loss (FFV1 in Matroska, RGB): a temporary file, then a rename.

    Raises ClipError for frames smaller than 4x4 px, OSError where the file cannot be written.
    """
    import av

    try:
        with replacing(path) as partial, av.open(str(partial), "w", "matroska", {"fflags": "+bitexact"}) as container:
            stream = container.add_stream("ffv1", rate=Fraction(clip.fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "bgr0"
            for frame in clip.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
            container.mux(stream.encode())
    except NotImplementedError as error:  # what PyAV raises where FFV1 cannot cut a frame this small into its slices
        raise ClipError(f"a clip of {clip.width}x{clip.height} px is too small to be stored; 4x4 is the least") from error
