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
from reference_model.training.mixture import Drawn, Mixture


class Denoiser(nn.Module):
    """The DiT and the text encoder that is trained with it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text = TextEncoder(config.text)
        self.dit = DiT(config.dit, config.text)


def denoising_loss(
    config: ModelConfig, model: Denoiser, mixture: Mixture, rng: np.random.Generator, drop: float = 0.0
) -> tuple[Tensor, dict[str, float]]:
    """Velocity error of one batch of packs: weighted mean over a clip's tokens, then over clips.

    Tokens that hold an object weigh more, but only at times at which the noisy clip shows where it is. Nearer to noise the
    best answer is a mean over all places that it may be at, and a weight on where it is would draw it at too many.
    """
    t, capacity = config.train, config.dit.pack_tokens
    drawn: list[Drawn] = []
    # Enough clips to fill the packs; the few that open one pack too many are left for another step.
    while sum(len(d.tokens) for d in drawn) < capacity * t.dit_packs:
        drawn.append(mixture.draw(rng, drop))
    members = patchify.best_fit([len(d.tokens) for d in drawn], capacity)[: t.dit_packs]
    drawn = [drawn[c] for group in members for c in group]
    cuts = np.cumsum([0, *map(len, members)])
    groups = [list(range(a, b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]

    ids, lengths = tokenize([d.prompt for d in drawn], config.text.max_tokens)
    known = [d.known for d in drawn]
    packs = patchify.pack([d.position for d in drawn], lengths.tolist(), ids.shape[1], groups, capacity, known)
    uniform = not t.logit_normal
    times = rng.random(len(drawn), np.float32) if uniform else flow.logit_normal_times(rng, len(drawn), t.time_shift)
    noise = [rng.standard_normal(d.tokens.shape, dtype=np.float32) for d in drawn]
    noisy = [
        np.concatenate([d.tokens[: d.known], ((1 - s) * d.tokens + s * e)[d.known :]])
        for d, e, s in zip(drawn, noise, times, strict=True)
    ]
    target = [e - d.tokens for d, e in zip(drawn, noise, strict=True)]
    grids = np.array([d.grid for d in drawn], np.int64)[packs.state_clip]

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
    whole, gone = t.object_times
    share = np.clip((gone - times) / max(gone - whole, 1e-6), 0.0, 1.0)
    weights = [d.weight(1 + (t.object_weight - 1) * s) for d, s in zip(drawn, share, strict=True)]
    loss = (error * torch.from_numpy(packs.gather([w / np.float32(len(drawn)) for w in weights]))).sum()
    with torch.no_grad():
        per_clip = np.array([float((e * w).sum()) for e, w in zip(packs.scatter(error.numpy()), weights, strict=True)])
        at = [(times >= i / 4) & (times < (i + 1) / 4) for i in range(4)]
        bins = {f"t{i}": float(per_clip[chosen].mean()) for i, chosen in enumerate(at) if chosen.any()}
    return loss, {
        "loss": loss.item(),
        **bins,
        "padding": packs.padding,
        "mask_overhead": packs.mask_overhead,
        "tokens": float(sum(len(d.tokens) for d in drawn)),
        "clips": float(len(drawn)),
    }
