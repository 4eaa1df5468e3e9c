"""Clips as latents, as the pipelines of diffusers hand them to their schedulers: the inverse of how each class decodes.

The rules were read from diffusers 0.42; `tests/sora_eval/generators/test_denoising.py` has each pipeline decode them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sora_eval.util.errors import Undefined

Layout = Callable[[Any, Tensor], Tensor]


def _plain(pipeline: Any, z: Tensor) -> Tensor:
    return z


def _frames_first(pipeline: Any, z: Tensor) -> Tensor:
    return z.movedim(2, 1)  # (B, T, C, H, W)


def _channels_last(pipeline: Any, z: Tensor) -> Tensor:
    return z.movedim(1, -1)  # (B, T, H, W, C)


def _pictures(pipeline: Any, z: Tensor) -> Tensor:
    return z.movedim(2, 1).flatten(0, 1)  # (BT, C, H, W)


def _tokens(pipeline: Any, z: Tensor) -> Tensor:
    patch = pipeline.transformer_spatial_patch_size, pipeline.transformer_temporal_patch_size
    packed: Tensor = pipeline._pack_latents(z, *patch)  # (B, L, D)
    return packed


@dataclass(frozen=True)
class Latents:
    """The rule of a class: whether latents are standardised by the mean and standard deviation of the VAE's channels, and
    multiplied by its scaling factor; their layout when they are stepped; whether the VAE is one of pictures."""

    standardised: bool = False
    scaled: bool = False
    layout: Layout = _plain
    by_frame: bool = False


LATENTS = {
    "AnimateDiffPipeline": Latents(scaled=True, by_frame=True),
    "AnimateDiffSDXLPipeline": Latents(scaled=True, by_frame=True),
    "CogVideoXPipeline": Latents(scaled=True, layout=_frames_first),
    "EasyAnimatePipeline": Latents(scaled=True),
    "HunyuanVideo15Pipeline": Latents(scaled=True),
    "HunyuanVideoPipeline": Latents(scaled=True),
    "Kandinsky5T2VPipeline": Latents(scaled=True, layout=_channels_last),
    "LTXPipeline": Latents(standardised=True, scaled=True, layout=_tokens),
    "LattePipeline": Latents(scaled=True, by_frame=True),
    "MochiPipeline": Latents(standardised=True, scaled=True),
    "MotifVideoPipeline": Latents(standardised=True),
    "SanaVideoPipeline": Latents(standardised=True),
    "SkyReelsV2Pipeline": Latents(standardised=True),
    "TextToVideoSDPipeline": Latents(scaled=True, layout=_pictures, by_frame=True),
    "WanPipeline": Latents(standardised=True),
}


def latents_rule(pipeline: Any) -> Latents:
    """The rule of a pipeline's class. Raises Undefined for classes without: those that need more than a text (a picture, a
    control video) or step more than the clip (sound, two times at once)."""
    name = type(pipeline).__name__
    if name not in LATENTS:
        raise Undefined(f"{name} cannot be asked for the loss of a clip; of diffusers' classes these can: {', '.join(LATENTS)}")
    return LATENTS[name]


def encoded(pipeline: Any, rule: Latents, frames: npt.NDArray[np.uint8], device: Any) -> Tensor:
    """Latents (B, C, t, h, w) float32, the VAE's mode, of clips (B, T, H, W, 3), on the scale of the pipeline's denoiser."""
    vae = pipeline.vae
    video = torch.from_numpy(frames).to(device).movedim(-1, 1).to(vae.dtype) / 127.5 - 1  # (B, 3, T, H, W)
    if rule.by_frame:
        z = _mode(vae, video.movedim(2, 1).flatten(0, 1))  # (BT, C, h, w)
        z = z.reshape(len(frames), -1, *z.shape[1:]).movedim(1, 2)
    else:
        z = _mode(vae, video)
    z = z.float()
    mean, deviation = (_per_channel(vae, f"latents_{name}", z) for name in ("mean", "std"))
    if rule.standardised and mean is not None and deviation is not None:
        z = (z - mean) / deviation
    factor = float(vae.config.scaling_factor) if rule.scaled else 1.0
    return z * factor


def _mode(vae: Any, pixels: Tensor) -> Tensor:
    out = vae.encode(pixels)
    if not hasattr(out, "latent_dist"):
        raise Undefined(f"its {type(vae).__name__} encodes to no distribution; expected one with latent_dist")
    mode: Tensor = out.latent_dist.mode()
    return mode


def _per_channel(vae: Any, name: str, z: Tensor) -> Tensor | None:
    """The values (1, C, 1, 1, 1) of a VAE's buffer (LTX) or configuration; None without."""
    values = dict(vae.named_buffers(recurse=False)).get(name, vae.config.get(name))
    return None if values is None else torch.as_tensor(values, dtype=z.dtype, device=z.device).view(1, -1, 1, 1, 1)
