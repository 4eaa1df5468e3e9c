"""The working folder of a training: its files, and how they are read."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from reference_model.config import ModelConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.vae import VAE
from reference_model.training.loop import load_tensors, load_weights

START = "dit-start.pt"  # weights that the DiT's training starts from
ORIGIN = "origin.json"  # how the checkpoint that a training continues was made


def machine() -> str:
    """The kind of this machine, in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, CPU"


def load_vae(config: ModelConfig, folder: Path) -> VAE:
    """The trained VAE in evaluation mode, with the latent statistics once the stage `compress` is done.

    Raises ReferenceModelError before that stage.
    """
    vae = VAE(config.vae)
    path = folder / ("vae-final.pt" if (folder / "vae-final.pt").exists() else "vae.pt")
    if not path.exists():
        raise ReferenceModelError(f"{path} does not exist: run the stage 'compress' first")
    load_weights(vae, load_tensors(path), path)
    return vae.eval()
