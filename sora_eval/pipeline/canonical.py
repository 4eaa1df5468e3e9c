"""The canonical canvas: one rate, length, aspect ratio and area for all clips, so that unlike ones can be pooled."""

from __future__ import annotations

import math

import cv2
import numpy as np

from sora_eval.records.bucket import SAME
from sora_eval.records.clip import Clip
from sora_eval.suite import Canonical
from sora_eval.util.errors import Undefined


def on_canvas(clip: Clip, canvas: Canonical) -> Clip:
    """A clip on the canvas: frames chosen by time, cut at the end, the centre cropped, then resized (by area when smaller).

    Raises Undefined for a clip with too low a rate or too short: frames are never invented.
    """
    frames, fps = clip.frames, clip.fps
    if canvas.fps is not None:
        if fps * SAME < canvas.fps:
            raise Undefined(f"{fps:g} fps; the canonical canvas has {canvas.fps:g}, and frames are not invented")
        number = math.floor((len(frames) - 1) * canvas.fps / fps + 1e-6) + 1
        places = np.minimum(np.floor(np.arange(number) * fps / canvas.fps + 0.5).astype(int), len(frames) - 1)
        frames, fps = frames[places], canvas.fps
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
        how = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
        if size != (width, height):
            frames = np.stack([np.asarray(cv2.resize(f, size, interpolation=how), np.uint8) for f in frames])
    return Clip(np.ascontiguousarray(frames), fps)


def _even(side: float) -> int:
    return max(2 * round(side / 2), 2)
