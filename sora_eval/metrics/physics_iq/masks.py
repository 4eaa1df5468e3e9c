"""Clips as Physics-IQ reads them: frames and motion masks at a quarter of the real clip's size, one protocol by name each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.features.motion_masks import SIGNATURE, Frame, with_masks
from sora_eval.util.errors import Undefined

SHRINK = 4  # of the sides of the real clip
# By protocol, what a signature says. `published`: masks computed here go through the codec that the published code puts between
# (OpenCV's mp4v). `direct`: they are compared as they are. Masks that the benchmark ships are read in both.
PROTOCOLS = {
    "published": f"{SIGNATURE}|masks:mp4v|bilinear:1/{SHRINK}|5s",
    "direct": f"{SIGNATURE}|masks:direct|bilinear:1/{SHRINK}|5s",
}


@dataclass(frozen=True)
class MaskedClip:
    """A clip as the benchmark reads it: frames (T, h, w, 3) uint8 and motion masks (T, h, w), at a quarter of the real clip's
    size."""

    frames: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]


def masked_clip(
    frames: Iterable[Frame],
    fps: float,
    protocol: str,
    size: tuple[int, int] | None = None,
    shipped: Path | None = None,
) -> MaskedClip:
    """Frames (H, W, 3) and their masks, bilinearly resized to `size` (width, height), by default a quarter of their own.

    Masks are those of the file `shipped`, or computed at full size; they are resized and thresholded at half. Raises Undefined
    without a frame, and for a file of masks that cannot be read or has another length.
    """
    small: list[Frame] = []

    def seen(frame: Frame) -> None:
        nonlocal size
        size = size or (max(frame.shape[1] // SHRINK, 1), max(frame.shape[0] // SHRINK, 1))
        small.append(np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR), np.uint8))

    masks: Iterable[Frame]
    if shipped is not None:
        for frame in frames:
            seen(frame)
        masks = read_masks(shipped)
    else:
        computed = _masks(frames, seen)
        masks = through_codec(computed, fps) if protocol == "published" else computed
    at_half = [np.asarray(cv2.resize(mask, _size(size), interpolation=cv2.INTER_LINEAR)) > 127 for mask in masks]
    if not small:
        raise Undefined("the real take holds no frames")
    if len(at_half) != len(small):
        what = "the video codec gave" if shipped is None else f"{shipped.name} has"
        raise Undefined(f"{what} {len(at_half)} masks for {len(small)} frames")
    return MaskedClip(np.stack(small), np.stack(at_half))


def _size(size: tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        raise Undefined("the real take holds no frames")
    return size


def _masks(frames: Iterable[Frame], seen: Callable[[Frame], None]) -> Iterator[Frame]:
    for frame, mask in with_masks(frames):
        seen(frame)
        yield mask


def through_codec(masks: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Masks (H, W), 0 or 255, after a trip through MPEG-4 as OpenCV writes and reads it, which blurs and shifts their edges.

    As in the published code the rate is a whole number and the sides are even: an odd last row or column is cut off. Raises
    Undefined where OpenCV cannot write the codec.
    """
    with TemporaryDirectory() as folder:
        path, writer = Path(folder) / "masks.mp4", None
        for mask in masks:
            height, width = (side - side % 2 for side in mask.shape)
            if writer is None:
                fourcc = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(str(path), fourcc, max(round(fps), 1), (width, height), isColor=False)
                if not writer.isOpened():
                    raise Undefined("this OpenCV cannot write MPEG-4 (mp4v); use protocol = 'direct' in [metrics.physics_iq]")
            writer.write(np.ascontiguousarray(mask[:height, :width]))
        if writer is not None:
            writer.release()
            yield from read_masks(path)


def read_masks(path: Path) -> Iterator[Frame]:
    """The masks (H, W), 0 to 255, of a video of masks. Raises Undefined for a file that OpenCV cannot read."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise Undefined(f"the masks {path.name} cannot be read as a video")
    try:
        while True:
            there, frame = capture.read()
            if not there:
                return
            yield np.asarray(frame[..., 0], np.uint8)  # grey: the three channels are equal
    finally:
        capture.release()
