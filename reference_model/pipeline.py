"""Prompts, shapes and seeds to clips, over a torch or an ONNX backend with the same packer, noise and Euler loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reference_model import flow, patchify
from reference_model.backends import Backend, load_backend
from reference_model.config import SamplingConfig
from reference_model.errors import ReferenceModelError
from reference_model.shapes import check_shape
from reference_model.text import tokenize

DECODE_BATCH = 8


@dataclass(frozen=True)
class Request:
    """One clip to make. Sides are multiples of 8 px, `num_frames` is 1 + 4k; None takes the checkpoint's default."""

    prompt: str
    width: int = 32
    height: int = 32
    num_frames: int = 17
    seed: int = 0
    num_inference_steps: int | None = None
    guidance_scale: float | None = None

    def filled(self, defaults: SamplingConfig) -> Request:
        """The request with its defaults filled in, checked. Raises ShapeError or ReferenceModelError."""
        check_shape(self.num_frames, self.height, self.width)
        steps = defaults.num_inference_steps if self.num_inference_steps is None else self.num_inference_steps
        scale = defaults.guidance_scale if self.guidance_scale is None else self.guidance_scale
        if steps < 1:
            raise ReferenceModelError(f"num_inference_steps = {steps}; expected at least 1")
        if not self.prompt.strip():
            raise ReferenceModelError("the prompt is empty; describe the clip, for example 'a red circle falls'")
        return replace(self, num_inference_steps=steps, guidance_scale=scale)

    @property
    def grid(self) -> patchify.Grid:
        return patchify.grid_of(self.num_frames, self.height, self.width)


@dataclass(frozen=True)
class Sample:
    """Frames (T, H, W, 3) uint8, and this clip's share of the seconds of each stage."""

    frames: npt.NDArray[np.uint8]
    seconds: dict[str, float]


class Pipeline:
    """The whole generator. `Pipeline.load("base")` reads a shipped checkpoint, or a folder of the same layout."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.config = backend.config

    @staticmethod
    def load(checkpoint: str = "base", backend: str = "onnx", device: str = "cpu", threads: int = 0) -> Pipeline:
        return Pipeline(load_backend(checkpoint, backend, device, threads))

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """Make all clips, mixed shapes and lengths in shared packs, in the order asked for."""
        filled = [r.filled(self.config.sampling) for r in requests]
        out: dict[int, Sample] = {}
        for steps in sorted({r.num_inference_steps or 1 for r in filled}):
            chosen = [i for i, r in enumerate(filled) if r.num_inference_steps == steps]
            out.update(zip(chosen, self._generate([filled[i] for i in chosen], steps), strict=True))
        return [out[i] for i in range(len(filled))]

    def _generate(self, requests: list[Request], steps: int) -> list[Sample]:
        started = time.perf_counter()
        # Guidance needs no second batch: a clip and its unconditional twin are two segments of one pack.
        twins = [1 if r.guidance_scale == 1.0 else 2 for r in requests]
        owner = [i for i, n in enumerate(twins) for _ in range(n)]
        first = np.cumsum([0, *twins])[:-1]
        prompts = ["" if clip != first[i] else requests[i].prompt for clip, i in enumerate(owner)]
        distinct = sorted(set(prompts))
        ids, lengths = tokenize(distinct, self.config.text.max_tokens)
        states, pooled = self.backend.encode_text(ids)
        rows = np.array([distinct.index(p) for p in prompts])
        text_done = time.perf_counter()

        grids = [requests[i].grid for i in owner]
        capacity = self.config.dit.pack_tokens
        sizes = [n * patchify.tokens_of(r.grid) for n, r in zip(twins, requests, strict=True)]
        groups = [[first[i] + k for i in group for k in range(twins[i])] for group in patchify.best_fit(sizes, capacity)]
        packs = patchify.pack(grids, lengths[rows].tolist(), ids.shape[1], groups)
        extent = np.array(grids, np.int64)
        values = 4 * self.config.dit.channels
        x = [flow.noise_for(r.seed, (patchify.tokens_of(r.grid), values)) for r in requests]
        flat = np.concatenate(x)
        cuts = np.cumsum([len(v) for v in x])[:-1]

        def velocity(flat: flow.Floats, t: float) -> flow.Floats:
            now = np.split(flat, cuts)
            out = packs.scatter(
                self.backend.velocity(
                    packs.gather([now[i] for i in owner]),
                    packs.clip,
                    packs.position,
                    np.full(len(owner), t, np.float32),
                    extent,
                    states[rows],
                    pooled[rows],
                    packs.text_index,
                    packs.text_clip,
                )
            )
            return np.concatenate(
                [
                    out[f] if n == 1 else flow.guided(out[f], out[f + 1], float(r.guidance_scale or 0.0))
                    for f, n, r in zip(first, twins, requests, strict=True)
                ]
            )

        latents = np.split(flow.integrate(flat, velocity, steps), cuts)
        denoise_done = time.perf_counter()
        frames = self._decode([patchify.unpatchify(v, r.grid) for v, r in zip(latents, requests, strict=True)])
        done = time.perf_counter()

        tokens = np.array([patchify.tokens_of(r.grid) for r in requests], float)
        spent = {"text": text_done - started, "denoise": denoise_done - text_done, "decode": done - denoise_done}
        return [
            Sample(f, {stage: seconds * float(share) for stage, seconds in spent.items()})
            for f, share in zip(frames, tokens / tokens.sum(), strict=True)
        ]

    def _decode(self, latents: list[flow.Floats]) -> list[npt.NDArray[np.uint8]]:
        out: dict[int, npt.NDArray[np.uint8]] = {}
        for shape in sorted({v.shape for v in latents}):
            same = [i for i, v in enumerate(latents) if v.shape == shape]
            for start in range(0, len(same), DECODE_BATCH):
                chunk = same[start : start + DECODE_BATCH]
                video = self.backend.decode(np.stack([latents[i] for i in chunk]))  # (N, 3, T, H, W)
                out.update(zip(chunk, to_frames(video), strict=True))
        return [out[i] for i in range(len(latents))]

    def reconstruct(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A clip through the VAE and back: what the latent alone loses."""
        check_shape(*frames.shape[:3])
        video = frames.astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1.0
        return to_frames(self.backend.decode(self.backend.encode(video)))[0]


def to_frames(video: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(N, 3, T, H, W) in [-1, 1] to (N, T, H, W, 3) bytes."""
    return np.clip(np.round((video + 1.0) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 4, 1)
