"""Prompts, shapes and seeds to clips, over a torch or an ONNX backend with the same packer, noise and Euler loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from reference_model.config import SamplingConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.captioner import caption_clips
from reference_model.networks.refiner import LocalRefiner, Refiner, refine
from reference_model.networks.text import tokenize
from reference_model.packing import patchify
from reference_model.packing.patchify import PACKINGS
from reference_model.packing.shapes import ShapeError, check_shape
from reference_model.sampling import flow
from reference_model.sampling.backends import Backend, load_backend
from reference_model.sampling.flops import Recorder, one_step

DECODE_BATCH = 8
CLIPS_AT_ONCE = 8
# Shorter packs and smaller batches than in training: of a pack's attention scores only those within clips are of use, and
# activations that stay in the cache are read faster.
PACK_TOKENS, BATCH_TOKENS = 64, 512

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Request:
    """One clip to make. Sides are multiples of 8 px, `num_frames` is 1 + 4k; None takes the checkpoint's default.

    `first_frames` (1 + 4j, H, W, 3) are known: the clip goes on from them. With `refine` the prompt is first made dense
    by the refiner; what it says is kept.
    """

    prompt: str
    width: int = 32
    height: int = 32
    num_frames: int = 17
    seed: int = 0
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    refine: bool = False
    first_frames: Frames | None = field(default=None, compare=False)

    def filled(self, defaults: SamplingConfig) -> Request:
        """The request with its defaults filled in, checked. Raises ShapeError or ReferenceModelError."""
        check_shape(self.num_frames, self.height, self.width)
        steps = defaults.num_inference_steps if self.num_inference_steps is None else self.num_inference_steps
        scale = defaults.guidance_scale if self.guidance_scale is None else self.guidance_scale
        if steps < 1:
            raise ReferenceModelError(f"num_inference_steps = {steps}; expected at least 1")
        if self.seed < 0:
            raise ReferenceModelError(f"seed = {self.seed}; expected at least 0")
        if not self.prompt.strip():
            raise ReferenceModelError("the prompt is empty; describe the clip, for example 'a red circle falls'")
        if self.first_frames is not None:
            found = self.first_frames.shape
            expected = (self.height, self.width, 3)
            if len(found) != 4 or found[1:] != expected or found[0] >= self.num_frames or (found[0] - 1) % 4:
                raise ShapeError(
                    f"first_frames has the shape {found}; expected (T, {', '.join(map(str, expected))}) with T = 1 + 4k "
                    f"below the {self.num_frames} frames asked for"
                )
        return replace(self, num_inference_steps=steps, guidance_scale=scale)

    @property
    def grid(self) -> patchify.Grid:
        return patchify.grid_of(self.num_frames, self.height, self.width)

    @property
    def twins(self) -> int:
        """Segments of the clip: with guidance its unconditional twin is a second one, and no second batch is needed."""
        return 1 if self.guidance_scale == 1.0 else 2


@dataclass(frozen=True)
class Sample:
    """Frames (T, H, W, 3) uint8, the prompt that they were made from, and this clip's share of each stage's seconds: text,
    denoise, denoise_step (one evaluation of it) and decode."""

    frames: Frames
    seconds: dict[str, float]
    prompt: str


def batches(sizes: Sequence[int], shapes: Sequence[patchify.Grid], packing: str) -> list[list[int]]:
    """Which clips, of `sizes` tokens with guidance, go through the networks together: clip numbers, each once.

    "packed" shares packs (NaViT); the others are what it is compared with: "single" one clip after the other, "bucketed"
    batches of one shape, "padded" every clip as long as the longest of its batch.
    """
    if packing not in PACKINGS:
        raise ReferenceModelError(f"packing {packing!r} is not known; expected one of: {', '.join(PACKINGS)}")
    every = range(len(sizes))
    if packing == "single":
        return [[i] for i in every]
    if packing == "padded":
        return _chunks(list(every))
    if packing == "bucketed":
        return [chunk for shape in sorted(set(shapes)) for chunk in _chunks([i for i in every if shapes[i] == shape])]
    # Packs of one batch are as long as its longest clip, so those of one batch should be of about one size.
    out: list[list[int]] = []
    room = 0
    for i in sorted(every, key=lambda i: -sizes[i]):
        if not out or sizes[i] > room:
            out.append([])
            room = BATCH_TOKENS
        out[-1].append(i)
        room -= sizes[i]
    return out


def _chunks(clips: list[int]) -> list[list[int]]:
    return [clips[i : i + CLIPS_AT_ONCE] for i in range(0, len(clips), CLIPS_AT_ONCE)]


class Pipeline:
    """The whole generator. `Pipeline.load("base")` reads a shipped checkpoint, or a folder of the same layout."""

    def __init__(self, backend: Backend, refiner: Refiner | None = None) -> None:
        self.backend = backend
        self.config = backend.config
        self.refiner = refiner or LocalRefiner(backend.run, self.config.refiner.max_tokens)

    @staticmethod
    def load(
        checkpoint: str = "base", backend: str = "onnx", device: str = "cpu", threads: int = 0, refiner: Refiner | None = None
    ) -> Pipeline:
        return Pipeline(load_backend(checkpoint, backend, device, threads), refiner)

    def generate(self, requests: Sequence[Request], packing: str = "packed") -> list[Sample]:
        """Make all clips, mixed shapes and lengths in shared packs, in the order asked for."""
        filled = self._refined([r.filled(self.config.sampling) for r in requests])
        out: dict[int, Sample] = {}
        for steps in sorted({r.num_inference_steps or 1 for r in filled}):
            chosen = [i for i, r in enumerate(filled) if r.num_inference_steps == steps]
            sizes = [filled[i].twins * patchify.tokens_of(filled[i].grid) for i in chosen]
            for batch in batches(sizes, [filled[i].grid for i in chosen], packing):
                members = [chosen[i] for i in batch]
                samples = self._generate([filled[i] for i in members], steps, shared=packing == "packed")
                out.update(zip(members, samples, strict=True))
        return [out[i] for i in range(len(filled))]

    def _refined(self, requests: list[Request]) -> list[Request]:
        chosen = [i for i, r in enumerate(requests) if r.refine]
        if chosen:
            prompts, seeds = [requests[i].prompt for i in chosen], [requests[i].seed for i in chosen]
            tokenize(prompts, self.config.text.max_tokens)  # an unknown word is the user's to mend, not the refiner's
            for i, prompt in zip(chosen, refine(self.refiner, prompts, seeds, self.config.text.max_tokens), strict=True):
                requests[i] = replace(requests[i], prompt=prompt)
        return requests

    def _generate(self, requests: list[Request], steps: int, shared: bool) -> list[Sample]:
        """Clips of one batch. A clip and its unconditional twin are segments; `shared`, several share a pack."""
        started = time.perf_counter()
        owner = [i for i, r in enumerate(requests) for _ in range(r.twins)]
        first = np.cumsum([0, *(r.twins for r in requests)])
        prompts = ["" if clip != first[i] else requests[i].prompt for clip, i in enumerate(owner)]
        distinct = sorted(set(prompts))
        ids, lengths = tokenize(distinct, self.config.text.max_tokens)
        states, pooled = self.backend.run("text_encoder", ids)
        rows = np.array([distinct.index(p) for p in prompts])
        text_done = time.perf_counter()

        given = [self._given(r) for r in requests]
        known = [len(g) for g in given]
        places = [patchify.positions(requests[i].grid) for i in owner]
        sizes = [len(p) for p in places]
        groups = patchify.best_fit(sizes, max(PACK_TOKENS, *sizes)) if shared else [[i] for i in range(len(sizes))]
        packs = patchify.pack(places, lengths[rows].tolist(), ids.shape[1], groups, known=[known[i] for i in owner])
        extent = np.array([requests[i].grid for i in owner], np.int64)[packs.state_clip]
        fixed = (extent, pooled[rows][packs.state_clip], states[rows], packs.text_index, packs.text_clip)
        noise = [
            flow.noise_for(r.seed, (len(places[f]), 4 * self.config.dit.channels))
            for f, r in zip(first[:-1], requests, strict=True)
        ]
        x = [np.concatenate([g, e[len(g) :]]) for g, e in zip(given, noise, strict=True)]
        ends = np.cumsum([len(v) for v in x])[:-1]

        def laid(flat: flow.Floats, t: float) -> tuple[flow.Floats, flow.Floats]:
            now = np.split(flat, ends)
            return packs.gather([now[i] for i in owner]), packs.times(np.full(len(owner), t, np.float32))

        tokens, times = laid(np.concatenate(x), 1.0)
        step = self.backend.bind("dit", (tokens, packs.clip, packs.state, packs.position, times, *fixed), moving=(0, 4))

        def velocity(flat: flow.Floats, t: float) -> flow.Floats:
            out = packs.scatter(step(*laid(flat, t)))
            moved = [
                out[f] if r.twins == 1 else flow.guided(out[f], out[f + 1], float(r.guidance_scale or 0.0))
                for f, r in zip(first[:-1], requests, strict=True)
            ]
            return np.concatenate([np.concatenate([0 * v[:n], v[n:]]) for v, n in zip(moved, known, strict=True)])

        latents = np.split(flow.integrate(np.concatenate(x), velocity, steps, self.config.sampling.time_shift), ends)
        denoise_done = time.perf_counter()
        frames = self._decode([patchify.unpatchify(v, r.grid) for v, r in zip(latents, requests, strict=True)])
        done = time.perf_counter()

        counts = np.array([patchify.tokens_of(r.grid) for r in requests], float)
        denoise = denoise_done - text_done
        spent = {
            "text": text_done - started,
            "denoise": denoise,
            "denoise_step": denoise / steps,
            "decode": done - denoise_done,
        }
        return [
            Sample(f, {stage: seconds * float(share) for stage, seconds in spent.items()}, r.prompt)
            for f, share, r in zip(frames, counts / counts.sum(), requests, strict=True)
        ]

    def _given(self, request: Request) -> flow.Floats:
        """Tokens of the frames that are known, (n, 4z); none are an empty array."""
        if request.first_frames is None:
            return np.zeros((0, 4 * self.config.dit.channels), np.float32)
        (latent,) = self.backend.run("vae_encoder", to_video(request.first_frames))
        return patchify.patchify(latent[0])

    def _decode(self, latents: list[flow.Floats]) -> list[Frames]:
        out: dict[int, Frames] = {}
        for same in _same_shape(latents):
            for start in range(0, len(same), DECODE_BATCH):
                chunk = same[start : start + DECODE_BATCH]
                (video,) = self.backend.run("vae_decoder", np.stack([latents[i] for i in chunk]))  # (N, 3, T, H, W)
                out.update(zip(chunk, to_frames(video), strict=True))
        return [out[i] for i in range(len(latents))]

    def reconstruct(self, frames: Frames) -> Frames:
        """A clip through the VAE and back: what the latent alone loses."""
        check_shape(*frames.shape[:3])
        (latent,) = self.backend.run("vae_encoder", to_video(frames))
        out: Frames = to_frames(self.backend.run("vae_decoder", latent)[0])[0]
        return out

    def caption(self, clips: Sequence[Frames]) -> list[str]:
        """What the recaptioner says of clips of any shapes, in dense words."""
        for clip in clips:
            check_shape(*clip.shape[:3])
        c = self.config.captioner
        return caption_clips(self.backend.run, clips, c.drop_threshold, c.max_tokens)


def flops(pipeline: Pipeline, requests: Sequence[Request], packing: str) -> dict[str, int] | None:
    """Floating-point operations of `generate` by stage; None for requests of unlike steps. One denoising step is run."""
    short = one_step([r.filled(pipeline.config.sampling) for r in requests])
    if short is None:
        return None
    recorder = Recorder(pipeline.backend)
    Pipeline(recorder, pipeline.refiner).generate(short[0], packing)
    return recorder.flops(short[1])


def _same_shape(arrays: Sequence[npt.NDArray[np.float32]]) -> Iterator[list[int]]:
    for shape in sorted({a.shape for a in arrays}):
        yield [i for i, a in enumerate(arrays) if a.shape == shape]


def to_video(frames: Frames) -> npt.NDArray[np.float32]:
    """(T, H, W, 3) bytes to (1, 3, T, H, W) in [-1, 1]."""
    return np.ascontiguousarray(frames.astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1.0)


def to_frames(video: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(N, 3, T, H, W) in [-1, 1] to (N, T, H, W, 3) bytes."""
    return np.clip(np.round((video + 1.0) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 4, 1)
