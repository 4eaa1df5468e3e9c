"""The recaptioner: an encoder-decoder transformer that puts a clip of any shape into dense words.

It reads pixels, not latents, so that the loss of the VAE does not reach the captions. Its input is always thinned by
similar-token dropping (`patchify.runs`); each remaining tubelet carries its run length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import CaptionerConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.layers import Layer, rope_angles, visible, wall_waves
from reference_model.networks.text import Decoder, write
from reference_model.packing import patchify

TUBELET = 4 * patchify.PIXELS**2 * 3  # values
BATCH = 64
MAX_TUBELETS = 2048  # attention over more needs gigabytes

Frames = npt.NDArray[np.uint8]
Run = Callable[..., list[Any]]
Inputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


class TubeletStem(nn.Module):
    """Tubelets (N, S, 768) to vectors (N, S, D): two convolutions within each, then a linear layer.

    A shape looks alike at every place of its patch; without the convolutions the layer learns each place separately.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4 * 3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 48, 3, stride=2, padding=1)
        self.out = nn.Linear(48 * (patchify.PIXELS // 2) ** 2, width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = tokens.reshape(-1, 4, patchify.PIXELS, patchify.PIXELS, 3).permute(0, 1, 4, 2, 3).flatten(1, 2)
        x = F.gelu(self.conv2(F.gelu(self.conv1(x), approximate="tanh")), approximate="tanh")
        out: Tensor = self.out(x.flatten(1)).unflatten(0, tokens.shape[:2])
        return out


class CaptionEncoder(nn.Module):
    """Tubelets to states (N, S, D): tokens (N, S, 768) in [-1, 1], position (N, S, 3), run (N, S), 0 in the padding,
    extent (N, 3), the clips' token grids."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embed = TubeletStem(width)
        self.embed_run = nn.Embedding(patchify.MAX_RUN + 1, width)
        self.embed_fraction = nn.Linear(24, width)
        self.layers = nn.ModuleList(Layer(width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, position: Tensor, run: Tensor, extent: Tensor) -> Tensor:
        head = self.config.width // self.config.heads
        rope = rope_angles(position, (head // 4, 3 * head // 8, 3 * head // 8), 100.0)
        x = self.embed(tokens) + self.embed_run(run) + self.embed_fraction(wall_waves(position, extent.float()[:, None]))
        mask = visible(run > 0)
        for layer in self.layers:
            x = layer(x, mask, rope)
        out: Tensor = self.norm(x)
        return out


class CaptionDecoder(nn.Module):
    """Ids (N, M), states (N, S, D) and runs (N, S) of the encoder, to logits (N, M, V) of each next word."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.decoder = Decoder(config.width, config.depth, config.heads, config.width, config.max_tokens)

    def forward(self, ids: Tensor, states: Tensor, run: Tensor) -> Tensor:
        out: Tensor = self.decoder(ids, states, run > 0)
        return out


class Captioner(nn.Module):
    """Encoder and decoder as one module, for training."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = CaptionEncoder(config), CaptionDecoder(config)


def prepare(clips: Sequence[Frames], threshold: float) -> Inputs:
    """The encoder's inputs (tokens, position, run, extent) for clips (T, H, W, 3), padded to the clip with most tubelets.

    Raises ReferenceModelError for a clip with more than `MAX_TUBELETS`.
    """
    rows = []
    for frames in clips:
        run = patchify.runs(frames, threshold)
        where = np.argwhere(run > 0)
        rows.append((patchify.tubelets(frames)[tuple(where.T)].reshape(len(where), TUBELET), where, run[tuple(where.T)]))
    longest = max(len(where) for _, where, _ in rows)
    if longest > MAX_TUBELETS:
        raise ReferenceModelError(
            f"the recaptioner found {longest} tubelets of 8x8 px in a clip, at most {MAX_TUBELETS} are read: scale the clip "
            "down (it was trained on sides of 24 to 48 px)"
        )
    tokens = np.zeros((len(clips), longest, TUBELET), np.float32)
    position = np.zeros((len(clips), longest, 3), np.int64)
    run = np.zeros((len(clips), longest), np.int64)
    for i, (values, where, length) in enumerate(rows):
        n = len(where)
        tokens[i, :n], position[i, :n], run[i, :n] = values.astype(np.float32) / 127.5 - 1.0, where, length
    extent = np.array([patchify.grid_of(*frames.shape[:3]) for frames in clips], np.int64)
    return tokens, position, run, extent


def caption_clips(run: Run, clips: Sequence[Frames], threshold: float, max_tokens: int = 48) -> list[str]:
    """Dense captions of clips (T, H, W, 3) of any shapes. `run(component, *inputs)` evaluates a network, as a backend does."""
    out: list[str] = [""] * len(clips)
    # Clips of one shape together need less padding; the captions do not depend on it.
    order = sorted(range(len(clips)), key=lambda i: clips[i].shape)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        for i, text in zip(batch, _caption_batch(run, [clips[i] for i in batch], threshold, max_tokens), strict=True):
            out[i] = text
    return out


def _caption_batch(run: Run, clips: Sequence[Frames], threshold: float, max_tokens: int) -> list[str]:
    inputs = prepare(clips, threshold)
    (states,) = run("caption_encoder", *inputs)
    length = inputs[2]

    def logits(ids: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        out: npt.NDArray[np.float32] = run("caption_decoder", ids, states[rows], length[rows])[0]
        return out

    return write(logits, [None] * len(clips), max_tokens)


def as_run(modules: dict[str, nn.Module]) -> Run:
    """torch modules behind the signature of a backend, for use while training."""

    def run(name: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        with torch.inference_mode():
            out = modules[name](*map(torch.from_numpy, inputs))
        return [o.numpy() for o in out] if isinstance(out, tuple) else [out.numpy()]

    return run
