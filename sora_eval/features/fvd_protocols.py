"""The named ways in which public code prepares clips for I3D. The preparation is the protocol: a value is only
comparable with values made the same way, so the name is part of every signature.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 224
CLIP_FRAMES = 16  # of the protocols that cut a clip

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FVDProtocol:
    """The preparation of frames, (T, H, W, 3) uint8 to (T', 224, 224, 3) in [-1, 1], and the covariance of the distance.

    Covariances divide by n - `ddof` and have `ridge` added to their diagonals.
    """

    about: str
    prepare: Callable[[Frames], Floats]
    ddof: int
    ridge: float = 0.0
    cuts: bool = False  # takes 16 frames of a clip and needs as many


def resize_tf1(frames: Frames, side: int = SIDE) -> Floats:
    """TensorFlow 1's `resize_bilinear`, (T, H, W, 3) to (T, side, side, 3), 0..255: no antialias, source = i * size / side."""
    height, width = frames.shape[1:3]
    y0, y1, fy = _grid(height, side)
    x0, x1, fx = _grid(width, side)
    out = np.empty((len(frames), side, side, 3), np.float32)
    for i, frame in enumerate(frames):
        image = frame.astype(np.float32)
        rows = image[y0] + (image[y1] - image[y0]) * fy[:, None, None]  # (side, W, 3)
        out[i] = rows[:, x0] + (rows[:, x1] - rows[:, x0]) * fx[None, :, None]
    return out


def _grid(size: int, side: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    place = np.arange(side) * (size / side)
    low = np.floor(place).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (place - low).astype(np.float32)


def resize_bilinear(frames: npt.NDArray[Any], height: int, width: int) -> Floats:
    """torch's `interpolate(mode="bilinear", align_corners=False)` of frames (T, H, W, 3), by OpenCV: its grid is the same."""
    return np.stack([cv2.resize(f.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) for f in frames])


def squash(frames: npt.NDArray[Any]) -> Floats:
    """Frames (T, H, W, 3) to 224x224, whatever the aspect ratio, and 0..255 to [-1, 1]."""
    return resize_bilinear(frames, SIDE, SIDE) / np.float32(127.5) - np.float32(1.0)


def short_side_and_crop(frames: Frames) -> Floats:
    """Frames (T, H, W, 3) to a short side of 224, then the central square; 0..255 to [-1, 1]."""
    height, width = _short_side(frames, SIDE)
    middle: Floats = _centre(resize_bilinear(frames, height, width), SIDE)
    return middle / np.float32(127.5) - np.float32(1.0)


def content_debiased(frames: Frames, resolution: int = 256) -> Floats:
    """cd-fvd's loader, then its I3D transform: 16 frames, antialiased short side, centre, bytes, squash to [-1, 1]."""
    import torch
    import torch.nn.functional as F

    video = torch.from_numpy(np.ascontiguousarray(cut(frames, 42))).permute(0, 3, 1, 2).float() / 255.0
    size = _short_side(frames, resolution)
    resized = F.interpolate(video, size=size, mode="bilinear", align_corners=False, antialias=True)
    # It casts to bytes, which cuts the fraction off.
    bytes_ = (resized.permute(0, 2, 3, 1).numpy() * 255).clip(0, 255).astype(np.uint8)
    return squash(_centre(bytes_, resolution))


def _short_side(frames: Frames, side: int) -> tuple[int, int]:
    height, width = frames.shape[1:3]
    scale = side / min(height, width)
    return (side, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), side)


def _centre(frames: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    top, left = (frames.shape[1] - side) // 2, (frames.shape[2] - side) // 2
    return frames[:, top : top + side, left : left + side]


def cut(frames: Frames, seed: int) -> Frames:
    """16 consecutive frames, or all of a shorter clip. Their start depends on `seed` and the frames, not on other clips."""
    room = len(frames) - CLIP_FRAMES
    if room <= 0:
        return frames
    digest = hashlib.sha256(np.ascontiguousarray(frames).tobytes()).digest()
    start = int(np.random.default_rng([seed, int.from_bytes(digest[:8], "little")]).integers(room + 1))
    return frames[start : start + CLIP_FRAMES]


FVD_PROTOCOLS: dict[str, FVDProtocol] = {
    "original": FVDProtocol(
        "google-research: all frames, TF1 bilinear squash, N-1", lambda f: resize_tf1(f) / np.float32(127.5) - 1.0, 1
    ),
    "styleganv": FVDProtocol(
        "StyleGAN-V: 16 consecutive frames, bilinear squash, N", lambda f: squash(cut(f, 0)), 0, cuts=True
    ),
    "cdfvd": FVDProtocol(
        "cd-fvd: 16 frames, antialiased short side 256, centre, bytes, squash, N", content_debiased, 0, cuts=True
    ),
    "common_metrics": FVDProtocol("common_metrics: all frames, short side 224, centre, N-1", short_side_and_crop, 1),
    "fastvideo": FVDProtocol("FastVideo: all frames, bilinear squash, N-1, 1e-6 on both diagonals", squash, 1, 1e-6),
}
