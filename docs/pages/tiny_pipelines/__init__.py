"""Every class of diffusers that makes video from a prompt or an image, tiny and with random weights, made without the hub.

CLASSES["WanPipeline"](folder)
diffusers.DiffusionPipeline.from_pretrained(folder)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from docs.pages.tiny_pipelines import cogvideox, cosmos, hunyuan, kandinsky, ltx, unet, wan


def _save(build: Callable[[], Any], folder: Path) -> None:
    """Layers that training starts at zero (gates, outputs) get values, or a prompt would change nothing."""
    torch.manual_seed(0)
    pipeline = build()
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    for values in denoiser.parameters():
        if not values.any():
            torch.nn.init.normal_(values, std=0.1)
    pipeline.save_pretrained(folder)


FAMILIES = (wan, ltx, cogvideox, hunyuan, cosmos, kandinsky, unet)
CLASSES: dict[str, Callable[[Path], None]] = {
    name: partial(_save, build) for family in FAMILIES for name, build in family.PIPELINES.items()
}
