"""The same clips through containers and codecs, turned, and at uneven times: is every file read as what was put in?"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from sora_eval.features.view import ClipView, FeatureCache
from sora_eval.metrics.create import Metrics
from sora_eval.records.capabilities import same_rate
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.selfcheck.material import Cell, Material
from sora_eval.selfcheck.measure import StoredScores
from sora_eval.selfcheck.paired import AgainstClean
from sora_eval.selfcheck.result import Decoded
from sora_eval.util.errors import SoraEvalError, line_of
from sora_eval.util.progress import track
from sora_eval.video.codec import read_clip

CLIPS = 4  # a form is read rightly or not: more clips would tell no more


@dataclass(frozen=True)
class Form:
    """One kind of file. It is read as the clip, or where the codec loses something as the first file of the same codec."""

    name: str
    suffix: str
    codec: str
    pixels: str
    lossless: bool = False
    turned: bool = False  # stored lying, with the matrix that puts it upright
    uneven: bool = False  # every second frame a quarter of a frame late

    @property
    def like(self) -> str:
        """The form, or `the clip`, that it must be read as.

        >>> [f.like for f in FORMS if f.codec == "libvpx-vp9"]
        ['VP9 in WebM', 'VP9 in WebM']
        """
        return "the clip" if self.lossless else next(f.name for f in FORMS if f.codec == self.codec)


FORMS = (
    Form("FFV1 in Matroska", "mkv", "ffv1", "bgr0", lossless=True),
    Form("FFV1 in Matroska, uneven times", "mkv", "ffv1", "bgr0", lossless=True, uneven=True),
    Form("HuffYUV in AVI", "avi", "huffyuv", "rgb24", lossless=True),
    Form("PNG in QuickTime", "mov", "png", "rgb24", lossless=True),
    Form("PNG in QuickTime, turned", "mov", "png", "rgb24", lossless=True, turned=True),
    Form("H.264 in MP4", "mp4", "libx264", "yuv420p"),
    Form("H.264 in QuickTime", "mov", "libx264", "yuv420p"),
    Form("H.264 in Matroska", "mkv", "libx264", "yuv420p"),
    Form("H.264 in a transport stream", "ts", "libx264", "yuv420p"),
    Form("H.264 in Matroska, uneven times", "mkv", "libx264", "yuv420p", uneven=True),
    Form("HEVC in MP4", "mp4", "libx265", "yuv420p"),
    Form("HEVC in Matroska", "mkv", "libx265", "yuv420p"),
    Form("VP9 in WebM", "webm", "libvpx-vp9", "yuv420p"),
    Form("VP9 in MP4", "mp4", "libvpx-vp9", "yuv420p"),
    Form("MPEG-4 in AVI", "avi", "mpeg4", "yuv420p"),
    Form("MPEG-4 in MP4", "mp4", "mpeg4", "yuv420p"),
    Form("Motion JPEG in AVI", "avi", "mjpeg", "yuvj420p"),
    Form("Motion JPEG in QuickTime", "mov", "mjpeg", "yuvj420p"),
)
# A fixed quantiser: rates would be spread by the times, which differ between containers. x265 reports on stderr unless told.
ENCODER = {"libx264": {"qp": "20"}, "libx265": {"x265-params": "log-level=none:qp=20"}}


class _NotWritten(Exception):
    """An encoder is missing, or refuses the size."""


def decoding(material: Material, metrics: Metrics, store: StoredScores) -> list[Decoded]:
    """Every form of `FORMS` on the first `CLIPS` clips that can be read, with the changes of scores that its codec makes.

    A form that this build of PyAV cannot write says so and is not judged.
    """
    cases, clips = _first(material)
    cache, read = FeatureCache(), {"the clip": clips}
    clean = [_scores(store, metrics, clip, case, cache) for clip, case in zip(clips, cases, strict=True)]
    rows = []
    for form in track(FORMS, "decoding"):
        try:
            found = read[form.name] = _through(form, clips)
        except _NotWritten as error:
            rows.append(Decoded(form.name, form.like, None, None, f"cannot be written here: {error}", {}))
            continue
        except SoraEvalError as error:
            rows.append(Decoded(form.name, form.like, None, False, str(error), {}))
            continue
        fault = _difference(found, clips, read.get(form.like, found))
        scores = [_scores(store, metrics, clip, case, cache) for clip, case in zip(found, cases, strict=True)]
        rows.append(Decoded(form.name, form.like, _psnr(found, clips), not fault, fault, _changes(clean, scores)))
    return rows


def _first(material: Material) -> tuple[list[Case], list[Clip]]:
    cases, clips = [], []
    for i, case in enumerate(material.cases):
        with suppress(SoraEvalError):
            clips.append(material.clip(i))
            cases.append(case)
        if len(cases) == CLIPS:
            break
    return cases, clips


def _through(form: Form, clips: list[Clip]) -> list[Clip]:
    """The clips as they come back from files of a form. Raises _NotWritten, ClipError."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for i, clip in enumerate(clips):
            path = Path(folder) / f"{i}.{form.suffix}"
            try:
                _write(form, clip, path)
            except Exception as error:
                raise _NotWritten(line_of(error)) from error
            found.append(read_clip(path))
    return found


def _write(form: Form, clip: Clip, path: Path) -> None:
    frames = np.rot90(clip.frames, 1, (1, 2)) if form.turned else clip.frames
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(form.codec, rate=Fraction(clip.fps).limit_denominator(1001)))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], form.pixels
        stream.options = {**ENCODER.get(form.codec, {})}
        if form.turned:
            stream.set_display_rotation(-90)
        if form.uneven:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24").reformat(format=form.pixels)
            if form.uneven:
                late = 0.25 if i % 2 and i + 1 < len(frames) else 0.0
                picture.pts, picture.time_base = round(1000 * (i + late) / clip.fps), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _difference(found: list[Clip], clips: list[Clip], like: list[Clip]) -> str:
    """What is first read differently, or '': shape and rate than the clips', frames than those of `like`."""
    for a, clip, b in zip(found, clips, like, strict=True):
        if a.frames.shape != clip.frames.shape:
            return f"frames {a.frames.shape}, expected {clip.frames.shape}"
        if not same_rate(a.fps, clip.fps):
            return f"{a.fps:g} frames per second, expected {clip.fps:g}"
        if different := int((a.frames != b.frames).any((1, 2, 3)).sum()):
            return f"{different} of {len(a.frames)} frames differ"
    return ""


def _psnr(found: list[Clip], clips: list[Clip]) -> float | None:
    """Peak signal-to-noise ratio in dB over all pixels of all clips; None where frames are equal, or of another shape."""
    if any(a.frames.shape != b.frames.shape for a, b in zip(found, clips, strict=True)):
        return None
    pairs = zip(found, clips, strict=True)
    squared = np.concatenate([np.square(a.frames.astype(np.float64) - b.frames).reshape(-1) for a, b in pairs])
    return float(10 * np.log10(255**2 / squared.mean())) if squared.any() else None


def _scores(store: StoredScores, metrics: Metrics, clip: Clip, case: Case, cache: FeatureCache) -> dict[str, float]:
    alone = {name: metric for name, metric in metrics.per_clip.items() if not isinstance(metric, AgainstClean)}
    outputs = store.scores(ClipView(clip, case, cache), alone, Cell("decoded")).values()
    return {name: value for scores in outputs for name, (value, _) in scores.items() if value is not None}


def _changes(clean: list[dict[str, float]], scores: list[dict[str, float]]) -> dict[str, float]:
    """Mean change of every output that has a score before and after."""
    names = dict.fromkeys(name for one in clean for name in one)
    changes = {n: [b[n] - a[n] for a, b in zip(clean, scores, strict=True) if n in a and n in b] for n in names}
    return {n: fmean(values) for n, values in changes.items() if values}
