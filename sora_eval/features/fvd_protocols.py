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
BATCH_NORM_EPS = 1e-3  # of the TensorFlow original; ports with 1e-5 give 151.76 instead of 151.39 on black against white

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FVDProtocol:
    """The preparation of frames, (T, H, W, 3) uint8 to (T, 224, 224, 3) in [-1, 1], and the covariance of the distance.

    Covariances divide by n - `ddof` and have `ridge` added to their diagonals. A protocol that `cuts` takes 16 consecutive
    frames of a clip, and needs as many: from a drawn start, or of generated clips from frame 0 (`from_zero`).
    """

    about: str
    prepare: Callable[[Frames], Floats]
    ddof: int
    ridge: float = 0.0
    cuts: bool = False
    from_zero: bool = False
    batch_norm_eps: float = BATCH_NORM_EPS  # of I3D

    @property
    def window(self) -> str:
        """What a signature says of the frames that are taken; empty for all."""
        if not self.cuts:
            return ""
        return f"|frames:{CLIP_FRAMES}-from-" + ("0,real-from-id" if self.from_zero else "id")

    def start(self, case_id: str, frames: int, real: bool) -> int:
        """The first frame of the cut of a clip, generated or `real`, of this many frames.

        The public code draws it from one generator for all clips, in their order; here it is drawn from the id of the case, so
        that it depends on no order and on no pixel.
        """
        room = frames - CLIP_FRAMES
        if room <= 0 or (self.from_zero and not real):
            return 0
        digest = hashlib.sha256(case_id.encode()).digest()
        return int(np.random.default_rng(int.from_bytes(digest[:8], "little")).integers(room + 1))


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
    """cd-fvd's loader, then its I3D transform: antialiased short side, centre, bytes, squash to [-1, 1]."""
    import torch
    import torch.nn.functional as F

    video = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float() / 255.0
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


FVD_PROTOCOLS: dict[str, FVDProtocol] = {
    "original": FVDProtocol(
        "google-research: all frames, TF1 bilinear squash, N-1", lambda f: resize_tf1(f) / np.float32(127.5) - 1.0, 1
    ),
    "styleganv": FVDProtocol(
        "StyleGAN-V: 16 frames, generated clips from the first, bilinear squash, N", squash, 0, cuts=True, from_zero=True
    ),
    "cdfvd": FVDProtocol(
        "cd-fvd: 16 frames, antialiased short side 256, centre, bytes, squash, I3D with another epsilon, N",
        content_debiased,
        0,
        cuts=True,
        batch_norm_eps=1e-5,
    ),
    "common_metrics": FVDProtocol("common_metrics: all frames, short side 224, centre, N-1", short_side_and_crop, 1),
    "fastvideo": FVDProtocol("FastVideo: all frames, bilinear squash, N-1, 1e-6 on both diagonals", squash, 1, 1e-6),
}
