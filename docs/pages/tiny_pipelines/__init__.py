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
    torch.manual_seed(0)
    build().save_pretrained(folder)


FAMILIES = (wan, ltx, cogvideox, hunyuan, cosmos, kandinsky, unet)
CLASSES: dict[str, Callable[[Path], None]] = {
    name: partial(_save, build) for family in FAMILIES for name, build in family.PIPELINES.items()
}

SHAPE = (32, 32, 9)  # width, height, frames: the shortest clip that shows motion in most classes
SHAPES = {
    "AllegroPipeline": (128, 128, 24),  # one tile of its VAE
    "ChronoEditPipeline": (32, 32, 5),
    "HeliosPipeline": (32, 32, 33),
    "HeliosPyramidPipeline": (64, 64, 33),
    "HunyuanVideo15ImageToVideoPipeline": (64, 64, 9),
    "HunyuanVideoFramepackPipeline": (32, 32, 37),
    "Kandinsky5I2VPipeline": (32, 32, 17),  # it normalises 4 latent frames by those that follow
    "LTX2DFRPipeline": (32, 32, 17),
    "LTXI2VLongMultiPromptPipeline": (128, 128, 9),
    "LattePipeline": (32, 32, 8),
    "MochiPipeline": (32, 32, 7),
}
"""The smallest clip of the classes that cannot make SHAPE."""

NOT_BUILT = {
    "AnimateDiffControlNetPipeline": "needs conditioning frames",
    "AnimateDiffSparseControlNetPipeline": "needs conditioning frames",
    "AnimateDiffVideoToVideoControlNetPipeline": "needs a video",
    "AnimateDiffVideoToVideoPipeline": "needs a video",
    "CogVideoXFunControlPipeline": "needs a control video",
    "CogVideoXVideoToVideoPipeline": "needs a video",
    "ConsisIDPipeline": "needs a face's identity, and the packages that find it",
    "Cosmos2_5_TransferPipeline": "needs control frames",
    "EasyAnimateControlPipeline": "needs a control video",
    "EasyAnimateInpaintPipeline": "needs a video and its mask",
    "Kandinsky6SRPipeline": "needs a video",
    "LTX2DFRTemporalRefinePipeline": "needs latents of LTX2DFRPipeline",
    "LTX2HDRPipeline": "needs a reference video",
    "LTX2LatentUpsamplePipeline": "needs latents",
    "LTX2VideoDiffusionDecodePipeline": "needs latents",
    "LTXLatentUpsamplePipeline": "needs latents",
    "LucyEditPipeline": "needs a video",
    "SanaWMPipeline": "needs a camera's path",
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": "needs a video",
    "VideoToVideoSDPipeline": "needs a video",
    "WanAnimatePipeline": "needs videos of a pose and of a face",
    "WanVideoToVideoPipeline": "needs a video",
}
"""Classes that a prompt and an image do not drive: class -> what they need."""
