"""The named ways in which public code prepares clips for I3D. The preparation is the protocol: a value is only
comparable with values made the same way, so the name is part of every signature.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SIDE = 224
CLIP_FRAMES = 16  # of the protocols that cut a clip
BATCH_NORM_EPS = 1e-3  # of the TensorFlow original; ports with 1e-5 give 151.76 instead of 151.39 on black against white

CHUNK_BYTES = 1 << 22  # of frames that are prepared at a time: few enough for the caches of a CPU

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FVDProtocol:
    """The preparation of frames, (T, H, W, 3) uint8 to (T, 224, 224, 3) in [-1, 1] on the device where they are, and the
    covariance of the distance.

    Covariances divide by n - `ddof` and have `ridge` added to their diagonals. A protocol that `cuts` takes 16 consecutive
    frames of a clip, and needs as many: from a drawn start, or of generated clips from frame 0 (`from_zero`).
    """

    about: str
    prepare: Callable[[Tensor], Tensor]
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

    def video(self, frames: Frames, device: torch.device) -> Tensor:
        """The input (1, 3, T, 224, 224) of a network, from frames (T, H, W, 3) uint8, which travel to the device once."""
        import torch

        step = max(CHUNK_BYTES // max(frames[:1].nbytes, 1), 1)
        parts = [self.prepare(torch.from_numpy(np.array(frames[i : i + step])).to(device)) for i in range(0, len(frames), step)]
        return torch.cat(parts).permute(3, 0, 1, 2)[None].contiguous()

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


def resize_tf1(frames: Tensor, side: int = SIDE) -> Tensor:
    """TensorFlow 1's `resize_bilinear`, (T, H, W, 3) to (T, side, side, 3), 0..255: no antialias, source = i * size / side."""
    y0, y1, fy = _grid(frames.shape[1], side, frames.device)
    x0, x1, fx = _grid(frames.shape[2], side, frames.device)
    upper, lower = frames.index_select(1, y0), frames.index_select(1, y1)  # (T, side, W, 3)
    if frames.shape[2] > side:  # columns first: fewer pixels to interpolate, and the same bits
        left, right = (_between(upper.index_select(2, x), lower.index_select(2, x), fy) for x in (x0, x1))  # (T, side, side, 3)
    else:
        whole = _between(upper, lower, fy)
        left, right = (whole.index_select(2, x) for x in (x0, x1))
    return left + (right - left) * fx[:, None]


def _between(upper: Tensor, lower: Tensor, share: Tensor) -> Tensor:
    """Rows (T, side, W, 3) between two of bytes, the lower of which has this `share` (side,)."""
    upper, lower = upper.float(), lower.float()
    return upper + (lower - upper) * share[:, None, None]


def _grid(size: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    import torch

    place = np.arange(side) * (size / side)
    low = np.floor(place).astype(np.int64)
    high, fraction = np.minimum(low + 1, size - 1), (place - low).astype(np.float32)
    return tuple(torch.from_numpy(a).to(device) for a in (low, high, fraction))  # type: ignore[return-value]


def resize_bilinear(frames: Tensor, height: int, width: int) -> Tensor:
    """torch's `interpolate(mode="bilinear", align_corners=False)` of frames (T, H, W, 3)."""
    import torch.nn.functional as F

    resized = F.interpolate(frames.permute(0, 3, 1, 2).float(), size=(height, width), mode="bilinear", align_corners=False)
    return resized.permute(0, 2, 3, 1)


def original(frames: Tensor) -> Tensor:
    """Frames (T, H, W, 3) to 224x224 as TensorFlow 1 does, whatever the aspect ratio, and 0..255 to [-1, 1]."""
    return resize_tf1(frames) / 127.5 - 1.0


def squash(frames: Tensor) -> Tensor:
    """Frames (T, H, W, 3) to 224x224, whatever the aspect ratio, and 0..255 to [-1, 1]."""
    return resize_bilinear(frames, SIDE, SIDE) / 127.5 - 1.0


def short_side_and_crop(frames: Tensor) -> Tensor:
    """Frames (T, H, W, 3) to a short side of 224, then the central square; 0..255 to [-1, 1]."""
    return _centre(resize_bilinear(frames, *_short_side(frames, SIDE)), SIDE) / 127.5 - 1.0


def content_debiased(frames: Tensor, resolution: int = 256) -> Tensor:
    """cd-fvd's loader, then its I3D transform: antialiased short side, centre, bytes, squash to [-1, 1].

    Up to the bytes on the CPU: they cut the fraction off, so the last digit of another device would be a grey level.
    """
    import torch.nn.functional as F

    video = frames.cpu().permute(0, 3, 1, 2).float() / 255.0
    size = _short_side(frames, resolution)
    resized = F.interpolate(video, size=size, mode="bilinear", align_corners=False, antialias=True)
    bytes_ = (resized.permute(0, 2, 3, 1) * 255).clip(0, 255).byte()
    return squash(_centre(bytes_, resolution).to(frames.device))


def _short_side(frames: Tensor, side: int) -> tuple[int, int]:
    height, width = frames.shape[1:3]
    scale = side / min(height, width)
    return (side, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), side)


def _centre(frames: Tensor, side: int) -> Tensor:
    top, left = (frames.shape[1] - side) // 2, (frames.shape[2] - side) // 2
    return frames[:, top : top + side, left : left + side]


FVD_PROTOCOLS: dict[str, FVDProtocol] = {
    "original": FVDProtocol("google-research: all frames, TF1 bilinear squash, N-1", original, 1),
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
