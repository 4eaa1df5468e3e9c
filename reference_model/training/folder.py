"""The working folder of a training: names of its files, and what is read back from them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from reference_model.config import ModelConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.vae import VAE

START = "dit-start.pt"  # weights that the DiT's training starts from


ORIGIN = "origin.json"  # how the checkpoint that a training continues was made


def machine() -> str:
    """The kind of machine that trains, in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, CPU"


def load_vae(config: ModelConfig, folder: Path) -> VAE:
    """The trained VAE, with the latent statistics once `latents` has run."""
    vae = VAE(config.vae)
    path = folder / ("vae-final.pt" if (folder / "vae-final.pt").exists() else "vae.pt")
    if not path.exists():
        raise ReferenceModelError(f"{path} does not exist: run the stage 'compress' first")
    vae.load_state_dict(torch.load(path, weights_only=True))
    return vae.eval()
