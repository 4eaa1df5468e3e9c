"""The canonical canvas: one rate, length, aspect ratio and area for all clips, so that different ones can be pooled."""

from __future__ import annotations

import math

import cv2
import numpy as np

from sora_eval.records.bucket import SAME
from sora_eval.records.clip import Clip
from sora_eval.suite import Canonical
from sora_eval.util.errors import Undefined


def on_canvas(clip: Clip, canvas: Canonical) -> Clip:
    """A clip on the canvas: frames selected by time, cut at the end, cropped to the centre, resized (by area when smaller).

    Raises Undefined for a clip with a lower rate or a shorter length than the canvas: frames are never interpolated.

    >>> clip = Clip(np.arange(16, dtype=np.uint8).repeat(4 * 6 * 3).reshape(16, 4, 6, 3), 16.0)
    >>> result = on_canvas(clip, Canonical(fps=8.0, seconds=0.5, aspect="1:1"))
    >>> result.frames.shape, result.frames[:, 0, 0, 0].tolist()
    ((4, 4, 4, 3), [0, 2, 4, 6])
    """
    frames, fps = clip.frames, clip.fps
    if canvas.fps is not None:
        if fps * SAME < canvas.fps:
            raise Undefined(f"{fps:g} fps; the canonical canvas has {canvas.fps:g}, and frames are not invented")
        number = math.floor((len(frames) - 1) * canvas.fps / fps + 1e-6) + 1
        indices = np.minimum(np.floor(np.arange(number) * fps / canvas.fps + 0.5).astype(int), len(frames) - 1)
        frames, fps = frames[indices], canvas.fps
    if canvas.seconds is not None:
        number = max(round(canvas.seconds * fps), 1)
        if len(frames) < number:
            raise Undefined(
                f"{len(frames)} frames at {fps:g} fps; the canonical canvas has {canvas.seconds:g} s, {number} frames"
            )
        frames = frames[:number]
    height, width = frames.shape[1:3]
    if canvas.aspect is not None:
        ratio = canvas.ratio
        crop_width, crop_height = min(width, max(round(height * ratio), 1)), min(height, max(round(width / ratio), 1))
        left, top = (width - crop_width) // 2, (height - crop_height) // 2
        frames = frames[:, top : top + crop_height, left : left + crop_width]
        height, width = crop_height, crop_width
    if canvas.area is not None:
        ratio = canvas.ratio if canvas.aspect is not None else width / height
        size = _even(math.sqrt(canvas.area * ratio)), _even(math.sqrt(canvas.area / ratio))
        interpolation = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
        if size != (width, height):
            frames = np.stack([np.asarray(cv2.resize(f, size, interpolation=interpolation), np.uint8) for f in frames])
    return Clip(np.ascontiguousarray(frames), fps)


def _even(side: float) -> int:
    return max(2 * round(side / 2), 2)
