"""Frames through an image network, in batches: each is transformed as a picture, as its library does, then all go to the device
together.

The transforms stay on the CPU, whatever the device: they resize bytes with Pillow, whose rounding no other resize has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from sora_eval.features.device import evaluation, in_batches
from sora_eval.util.stages import stage

PICTURES = 64  # at a time, at most


def embedded(
    encode: Callable[[torch.Tensor], torch.Tensor], transform: Callable[[Image.Image], Any], frames: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """The rows (n, D) of `encode`, which takes pixels (b, 3, side, side), for frames (n, H, W, 3)."""

    def run(part: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        with stage("resize"):
            pixels = torch.stack([transform(Image.fromarray(frame)) for frame in part])
        with evaluation() as where:
            return np.asarray(encode(pixels.to(where)).float().cpu().numpy())

    return in_batches(run, list(frames), PICTURES)
