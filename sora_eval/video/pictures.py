"""Clips that are pictures: a folder with one file per frame, and animated WebP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sora_eval.records.clip import Clip
from sora_eval.util.errors import ClipError, line_of
from sora_eval.video.decoder import Buffer
from sora_eval.video.timeline import timeline

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
ASSUMED_FPS = 8.0  # of frames without times; a note says so
_NUMBERED = re.compile(r"(.*?)(\d{1,15})", re.DOTALL)


def numbered(names: Sequence[str]) -> list[tuple[int, str]]:
    """Number and name of the frames of a clip in order; empty unless the names differ by a number at their end only.

    >>> numbered(["f10.png", "f9.png"]), numbered(["cat.png", "dog.png"])
    ([(9, 'f9.png'), (10, 'f10.png')], [])
    """
    matches = {name: _NUMBERED.fullmatch(Path(name).stem) for name in names}
    found = sorted((int(m[2]), name) for name, m in matches.items() if m)
    prefixes = {m[1] for m in matches.values() if m}
    whole = len(found) == len(names) > 1 and len(prefixes) == 1 and len({n for n, _ in found}) == len(found)
    return found if whole else []


def read_frames(folder: Path, fps: float | None = None, *, allow_damaged: bool = False) -> Clip:
    """The clip of a folder with one picture per frame, at `fps`, or ASSUMED_FPS with a note.

    Raises ClipError for pictures that are not numbered or cannot be read, of several sizes, and, unless `allow_damaged`, where
    one is missing.
    """
    try:
        names = [p.name for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        raise ClipError(f"{folder} cannot be listed: {error.strerror}") from error
    frames = numbered(names)
    if not frames:
        raise ClipError(f"{folder}: expected at least two pictures ({', '.join(PICTURE_SUFFIXES)}) that are numbered")
    numbers = np.array([number for number, _ in frames])
    steps, notes = np.diff(numbers), []
    if (steps != steps.min()).any():
        at = int(np.argmax(steps != steps.min()))
        fault = f"after the picture {frames[at][1]} comes {frames[at + 1][1]}: frames are missing"
        if not allow_damaged:
            raise ClipError(f"{folder}: {fault}")
        notes.append(f"damaged: {fault}")
    buffer = Buffer(len(frames))
    for _, name in frames:
        pixels = _pixels(folder / name)
        try:
            buffer.add(pixels)
        except ClipError:
            raise ClipError(f"{folder}: the picture {name} has another size than those before") from None
    return Clip(buffer.all(), fps or ASSUMED_FPS, notes=(*notes, *assumed(fps)))


def assumed(fps: float | None) -> tuple[str, ...]:
    """The note on a rate that was not given."""
    return () if fps else (f"it says no rate; {ASSUMED_FPS:g} fps is taken",)


def is_animated(path: Path) -> bool:
    """Whether a file is a WebP of several frames."""
    from PIL import Image

    try:
        with Image.open(path, formats=["WEBP"]) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def read_webp(path: Path) -> Clip:
    """The clip of an animated WebP, at the rate of its times. Raises ClipError."""
    from PIL import Image, ImageSequence

    times: list[float | None] = []
    last = total = 0.0
    buffer = Buffer(16)
    try:
        with Image.open(path, formats=["WEBP"]) as image:
            for frame in ImageSequence.Iterator(image):
                buffer.add(_rgb(frame))
                times.append(total)
                last = float(frame.info.get("duration", 0)) / 1000
                total += last
    except (OSError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ClipError(f"{path} cannot be decoded as WebP: {line_of(error)}") from error
    try:
        shown = timeline(times, last, 1e-3, 0.0, stored_once=True)
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from None
    frames = buffer.all()
    return Clip(frames if shown.index is None else frames[shown.index], shown.fps, notes=tuple(filter(None, [shown.note])))


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """A PNG, JPEG or WebP as RGB (H, W, 3), turned as its Exif says. Raises ClipError."""
    return _pixels(path, ("PNG", "JPEG", "WEBP"))


def _pixels(path: Path, formats: tuple[str, ...] = ("PNG", "JPEG")) -> npt.NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path, formats=formats) as image:
            return _rgb(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ClipError(f"{path} cannot be decoded as a picture: {line_of(error)}") from error


def _rgb(image: object) -> npt.NDArray[np.uint8]:
    """A picture as RGB (H, W, 3); what is transparent is shown on black, as in videos."""
    from PIL import Image, ImageOps

    assert isinstance(image, Image.Image)
    if image.mode.startswith("I") or image.mode == "F":
        raise ValueError(f"its pixels are of mode {image.mode}; expected 8 bits per channel")
    picture = ImageOps.exif_transpose(image).convert("RGBA")
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return np.asarray(Image.alpha_composite(black, picture).convert("RGB"), np.uint8)
