"""Figures of a checkpoint that need no judge: what the VAE loses on clips that it has never seen."""

from __future__ import annotations

import numpy as np

from reference_model.config import TrainConfig
from reference_model.pipeline import Pipeline
from reference_model.world import FactsError, make_clip, sample_facts

FRESH = 0xF2E5  # a stream of its own: no training clip is drawn from it


def vae_psnr(pipeline: Pipeline, clips: int = 200) -> dict[str, float]:
    """PSNR in dB over all pixels of all clips, and over pixels weighted by how much of them an object covers."""
    sizes = TrainConfig().sizes
    errors, covered, foreground, pixels = 0.0, 0.0, 0.0, 0
    for i in range(clips):
        rng = np.random.default_rng([FRESH, i])
        while True:
            try:
                clip = make_clip(sample_facts(rng), *sizes[i % len(sizes)], 17, rng)
                break
            except FactsError:
                continue
        error = np.square((pipeline.reconstruct(clip.frames).astype(float) - clip.frames) / 255).mean(-1)  # (T, H, W)
        weight = clip.coverage / 255
        errors, pixels = errors + error.sum(), pixels + error.size
        foreground, covered = foreground + (error * weight).sum(), covered + weight.sum()
    return {"psnr": float(-10 * np.log10(errors / pixels)), "psnr_foreground": float(-10 * np.log10(foreground / covered))}
