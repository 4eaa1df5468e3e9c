"""The networks of a checkpoint by name: what is exported, and what the torch backend runs."""

from __future__ import annotations

from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.networks.captioner import CaptionDecoder, CaptionEncoder
from reference_model.networks.dit import DiT
from reference_model.networks.refiner import RefineDecoder, RefineEncoder
from reference_model.networks.text import TextEncoder
from reference_model.networks.vae import VAE


class VAEEncoder(nn.Module):
    """`VAE.encode` as a graph of its own: (B, 3, 1+4k, H, W) to (B, z, 1+k, H/4, W/4)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, video: Tensor) -> Tensor:
        return self.vae.encode(video)


class VAEDecoder(nn.Module):
    """`VAE.decode` as a graph of its own: (B, z, 1+k, H/4, W/4) to (B, 3, 1+4k, H, W)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        return self.vae.decode(latent)


def build(config: ModelConfig) -> dict[str, nn.Module]:
    """Untrained networks by component name; both halves of the VAE share its weights."""
    vae = VAE(config.vae)
    return {
        "text_encoder": TextEncoder(config.text),
        "dit": DiT(config.dit, config.text),
        "vae_encoder": VAEEncoder(vae),
        "vae_decoder": VAEDecoder(vae),
        "caption_encoder": CaptionEncoder(config.captioner),
        "caption_decoder": CaptionDecoder(config.captioner),
        "refine_encoder": RefineEncoder(config.refiner),
        "refine_decoder": RefineDecoder(config.refiner),
    }
