"""Whole clips in a folder beside the page: of those that its sprites show smaller or with fewer frames."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np

from sora_eval.records.clip import Clip
from sora_eval.runs.rows import SampleRow
from sora_eval.util.errors import RunError
from sora_eval.video.codec import read_clip
from sora_eval_reports.page.gallery import LONGEST_SIDE, MOST_FRAMES
from sora_eval_reports.source import LoadedRun, Source

PLAYED = {".mp4": ("h264", "av1"), ".webm": ("vp8", "vp9", "av1")}  # codecs that browsers know, by container
BITS_PER_PIXEL = 0.12  # of H.264 at this quality, about
QUALITY = 20  # constant rate factor of x264: 18 and below look the same as the source


def reduced(sample: SampleRow) -> bool:
    """Whether a sprite shows less than the clip has."""
    return max(sample.width or 0, sample.height or 0) > LONGEST_SIDE or (sample.frames or 0) > MOST_FRAMES


def forecast(source: Source, cases: int) -> str:
    """How many videos a page of so many cases has at most, and about how large they are together, in words."""
    shown, megabytes = 0, 0.0
    for run in source.runs:
        own = [s for s in run.rows(SampleRow) if s.status == "ok" and reduced(s)]
        count = min(cases, len(own))
        pixels = sum((s.width or 0) * (s.height or 0) * (s.frames or 0) for s in own)
        shown += count
        megabytes += pixels * BITS_PER_PIXEL / 8e6 * count / max(1, len(own))
    if not shown:
        return f"no videos: no clip is larger than {LONGEST_SIDE} px or longer than {MOST_FRAMES} frames"
    return f"up to {shown} videos, about {megabytes:.0f} MB"


def write(run: LoadedRun, sample: SampleRow, folder: Path) -> str:
    """The video of a clip in `folder`, by its content; returns `FOLDER/NAME`, relative to the page beside the folder.

    A file that browsers play is copied, others are encoded as H.264; what is there already stays. Raises RunError, ClipError.
    """
    source = run.clip_file(sample.clip)
    as_it_is = plays(source)
    name = f"{(sample.sha256 or sample.id)[:24]}{source.suffix.lower() if as_it_is else '.mp4'}"
    target = folder / name
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{os.getpid()}-{name}")
        try:
            if as_it_is:
                shutil.copyfile(source, partial)
            else:
                encode(read_clip(source), partial)
            partial.replace(target)
        except OSError as error:
            raise RunError(f"{target} cannot be written: {error.strerror or error}") from error
        finally:
            partial.unlink(missing_ok=True)
    return f"{folder.name}/{name}"


def plays(path: Path) -> bool:
    """Whether browsers play a file as it is."""
    import av

    codecs = PLAYED.get(path.suffix.lower(), ())
    if not codecs:
        return False
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0].codec_context
            return video.name in codecs and video.pix_fmt == "yuv420p"
    except (av.FFmpegError, IndexError, OSError):
        return False


def encode(clip: Clip, path: Path) -> None:
    """Write a clip as H.264 in MP4, 4:2:0; an odd side gets its last row or column twice. Raises OSError."""
    import av

    even = np.pad(clip.frames, ((0, 0), (0, clip.height % 2), (0, clip.width % 2), (0, 0)), mode="edge")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(clip.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = even.shape[2], even.shape[1], "yuv420p"
        stream.options = {"crf": str(QUALITY), "preset": "veryfast"}
        for picture in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
