"""The signature of each graph of a checkpoint: names, dynamic axes, and inputs to trace and to check with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference_model.config import ModelConfig
from reference_model.networks.captioner import TUBELET
from reference_model.networks.text import VOCABULARY
from reference_model.onnx.int8 import Feed
from reference_model.packing import patchify

CHECKS = 7  # shapes


@dataclass(frozen=True)
class Spec:
    """The signature of a graph: outputs, inputs with their dynamic axes, and `example(i)`, inputs to trace (0) and to check."""

    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, Any]]
    example: Callable[[int], tuple[Tensor, ...]]

    def feed(self, which: int) -> Feed:
        """Inputs number `which` by name, as ONNX Runtime takes them."""
        return {name: x.numpy() for name, x in zip(self.dynamic, self.example(which), strict=True)}


def _dim(name: str) -> Any:
    return torch.export.Dim(name, min=1, max=1 << 20)


def dit_inputs(config: ModelConfig, which: int) -> tuple[Tensor, ...]:
    """Random inputs of the DiT, number `which` of `CHECKS`; sizes differ, since the tracer specialises 0, 1 and equal ones."""
    rng = np.random.default_rng(which)
    grids = [
        [(2, 3, 4), (3, 2, 5), (2, 4, 3)],
        [(1, 4, 4), (5, 4, 4)],
        [(5, 6, 6)],
        [(4, 3, 5), (5, 5, 3), (1, 3, 3)],
        [(2, 4, 4)] * 4,
        [(1, 1, 1), (3, 2, 7)],
        [(2, 8, 8), (5, 4, 4)],
    ][which]
    lengths = [int(n) for n in rng.integers(3, 9, len(grids))]
    width = max(lengths) + 1
    groups = [[0], list(range(1, len(grids)))] if len(grids) > 1 else [[0]]
    places, sizes = [patchify.positions(g) for g in grids], [g[1] * g[2] for g in grids]
    known = [size if g[0] > 1 and i % 2 == 0 else 0 for i, (g, size) in enumerate(zip(grids, sizes, strict=True))]
    packs = patchify.pack(places, lengths, width, groups, 75 if which == 0 else 0, known)
    n, text = len(grids), config.text.width
    arrays = (
        rng.standard_normal((*packs.clip.shape, 4 * config.dit.channels), np.float32),
        packs.clip,
        packs.state,
        packs.position,
        packs.times(rng.random(n, np.float32)),
        np.array(grids, np.int64)[packs.state_clip],
        rng.standard_normal((n, text), np.float32)[packs.state_clip],
        rng.standard_normal((n, width, text), np.float32),
        packs.text_index,
        packs.text_clip,
    )
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)


def specs(config: ModelConfig) -> dict[str, Spec]:
    """The signature of each graph of a checkpoint."""
    sizes = [(2, 3, 4, 5), (1, 1, 4, 4), (3, 5, 8, 8), (1, 5, 6, 10), (2, 4, 10, 6), (1, 2, 12, 12), (1, 7, 16, 8)]
    lengths = [(3, 7), (1, 3), (5, 47), (2, 20), (8, 11), (1, 48), (4, 5)]  # texts, words
    tubelet_counts = [9, 1, 64, 30, 17, 40, 5]  # tubelets of the recaptioner
    z = config.vae.latent_channels

    def noise(which: int, *shape: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng([which, len(shape)]).standard_normal(shape, np.float32))

    def ids(which: int) -> Tensor:
        n, m = lengths[which]
        out = np.random.default_rng(which).integers(1, len(VOCABULARY), (n, m))
        out[0, max(m - 2, 3) :] = 0
        return torch.from_numpy(out)

    def video(which: int) -> Tensor:
        n, g, h, w = sizes[which]
        return noise(which, n, 3, 4 * g - 3, 4 * h, 4 * w).clamp(-1, 1)

    def tubelets(which: int) -> tuple[Tensor, ...]:
        n, s = lengths[which][0], tubelet_counts[which]
        rng = np.random.default_rng(which)
        run = rng.integers(1, patchify.MAX_RUN + 1, (n, s))
        run[0, max(s - 3, 1) :] = 0
        position, extent = rng.integers(0, 5, (n, s, 3)), rng.integers(5, 9, (n, 3))
        return noise(which, n, s, TUBELET).clamp(-1, 1), *map(torch.from_numpy, (position, run, extent))

    def read(which: int, width: int) -> Tensor:
        return noise(which, lengths[which][0], tubelet_counts[which], width)

    clips, width, packs, length, texts, states = map(_dim, ("clips", "text_width", "packs", "length", "texts", "states"))
    batch, groups, rows, columns, tubes = map(_dim, ("batch", "groups", "rows", "columns", "tubes"))
    words, prompt = (torch.export.Dim(name, min=1, max=config.text.max_tokens) for name in ("words", "prompt"))
    packed, of_state = {0: packs, 1: length}, {0: states}
    dit_dims = {
        "tokens": packed,
        "clip": packed,
        "state": packed,
        "position": packed,
        "time": of_state,
        "extent": of_state,
        "pooled": of_state,
        "text": {0: clips, 1: width},
        "text_index": {0: packs, 1: texts},
        "text_clip": {0: packs, 1: texts},
    }
    text_dims = {"ids": {0: batch, 1: words}}
    tubelet_dims = {"tokens": {0: batch, 1: tubes}, "position": {0: batch, 1: tubes}, "run": {0: batch, 1: tubes}}

    def refiner_inputs(which: int) -> tuple[Tensor, ...]:
        prompt = ids((which + 2) % 7)[:1].repeat(lengths[which][0], 1)
        return ids(which), noise(which, *prompt.shape, config.refiner.width), prompt

    return {
        "text_encoder": Spec(("states", "pooled"), text_dims, lambda k: (ids(k),)),
        "dit": Spec(("velocity",), dit_dims, lambda k: dit_inputs(config, k)),
        "vae_encoder": Spec(
            ("latent",), {"video": {0: batch, 2: 4 * groups - 3, 3: 4 * rows, 4: 4 * columns}}, lambda k: (video(k),)
        ),
        "vae_decoder": Spec(
            ("video",),
            {"latent": {0: batch, 2: groups, 3: rows, 4: columns}},
            lambda k: (noise(k, sizes[k][0], z, *sizes[k][1:]),),
        ),
        "caption_encoder": Spec(("states",), {**tubelet_dims, "extent": {0: batch}}, tubelets),
        "caption_decoder": Spec(
            ("logits",),
            {**text_dims, "states": {0: batch, 1: tubes}, "run": {0: batch, 1: tubes}},
            lambda k: (ids(k), read(k, config.captioner.width), tubelets(k)[2]),
        ),
        "refine_encoder": Spec(("states",), text_dims, lambda k: (ids(k),)),
        "refine_decoder": Spec(
            ("logits",), {**text_dims, "states": {0: batch, 1: prompt}, "prompt": {0: batch, 1: prompt}}, refiner_inputs
        ),
    }
