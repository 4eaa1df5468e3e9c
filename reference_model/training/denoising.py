"""The objective of the DiT: rectified flow over packs of clips."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.networks import flow
from reference_model.networks.dit import DiT
from reference_model.networks.text import TextEncoder, tokenize
from reference_model.packing import patchify
from reference_model.training.mixture import Mixture, TrainingClip


class Denoiser(nn.Module):
    """The DiT and the text encoder that is trained with it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text = TextEncoder(config.text)
        self.dit = DiT(config.dit, config.text)


def denoising_loss(
    config: ModelConfig, model: Denoiser, mixture: Mixture, rng: np.random.Generator, drop: float = 0.0
) -> tuple[Tensor, dict[str, float]]:
    """Squared velocity error of one batch of packs, weighted mean over a clip's tokens, then over clips; and values to log.

    Tokens that hold an object weigh more, but only at times at which the noisy clip shows its place. Nearer to noise the
    best output is a mean over all possible places, and a weight on the true one would draw the object at too many.
    """
    t, capacity = config.train, config.dit.pack_tokens
    clips: list[TrainingClip] = []
    # Enough clips to fill the packs; the clips of further packs are dropped.
    while sum(len(c.tokens) for c in clips) < capacity * t.dit_packs:
        clips.append(mixture.draw(rng, drop))
    members = patchify.best_fit([len(c.tokens) for c in clips], capacity)[: t.dit_packs]
    clips = [clips[i] for group in members for i in group]
    cuts = np.cumsum([0, *map(len, members)])
    groups = [list(range(a, b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]

    ids, lengths = tokenize([c.prompt for c in clips], config.text.max_tokens)
    known = [c.known for c in clips]
    packs = patchify.pack([c.position for c in clips], lengths.tolist(), ids.shape[1], groups, capacity, known)
    uniform = not t.logit_normal
    times = rng.random(len(clips), np.float32) if uniform else flow.logit_normal_times(rng, len(clips), t.time_shift)
    noise = [rng.standard_normal(c.tokens.shape, dtype=np.float32) for c in clips]
    noisy = [
        np.concatenate([c.tokens[: c.known], ((1 - s) * c.tokens + s * e)[c.known :]])
        for c, e, s in zip(clips, noise, times, strict=True)
    ]
    target = [e - c.tokens for c, e in zip(clips, noise, strict=True)]
    grids = np.array([c.grid for c in clips], np.int64)[packs.state_clip]

    with torch.autocast("cpu", torch.bfloat16, enabled=t.bf16):
        text, pooled = model.text(torch.from_numpy(ids))
        out = model.dit(
            *map(torch.from_numpy, (packs.gather(noisy), packs.clip, packs.state, packs.position, packs.times(times), grids)),
            pooled[torch.from_numpy(packs.state_clip)],
            text,
            torch.from_numpy(packs.text_index),
            torch.from_numpy(packs.text_clip),
        )
    error = (out.float() - torch.from_numpy(packs.gather(target))).square().mean(-1, keepdim=True)
    whole, none = t.object_times  # the full object weight up to the first time, none from the second
    share = np.clip((none - times) / max(none - whole, 1e-6), 0.0, 1.0)
    weights = [c.weight(1 + (t.object_weight - 1) * s) for c, s in zip(clips, share, strict=True)]
    loss = (error * torch.from_numpy(packs.gather([w / np.float32(len(clips)) for w in weights]))).sum()
    with torch.no_grad():
        per_clip = np.array([float((e * w).sum()) for e, w in zip(packs.scatter(error.numpy()), weights, strict=True)])
        quarters = [(times >= i / 4) & (times < (i + 1) / 4) for i in range(4)]
        bins = {f"t{i}": float(per_clip[inside].mean()) for i, inside in enumerate(quarters) if inside.any()}
    return loss, {
        "loss": loss.item(),
        **bins,
        "padding": packs.padding,
        "mask_overhead": packs.mask_overhead,
        "tokens": float(sum(len(c.tokens) for c in clips)),
        "clips": float(len(clips)),
    }
