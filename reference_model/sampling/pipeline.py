"""Prompts, shapes and seeds to clips, over a torch or an ONNX backend with the same packer, noise and Euler loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from reference_model.config import SamplingConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks import flow
from reference_model.networks.captioner import caption_clips
from reference_model.networks.refiner import LocalRefiner, Refiner, refine
from reference_model.networks.text import tokenize
from reference_model.packing import patchify
from reference_model.packing.patchify import PACKINGS
from reference_model.packing.shapes import ShapeError, check_shape
from reference_model.sampling.backends import Backend, load_backend

DECODE_BATCH = 8
CLIPS_AT_ONCE = 8
# Shorter packs and smaller batches than in training: fewer attention scores are masked out, and activations stay in the
# cache.
PACK_TOKENS, BATCH_TOKENS = 64, 512

Frames = npt.NDArray[np.uint8]
Field = Callable[[Sequence[flow.Floats], float], list[flow.Floats]]  # tokens of each request and a time to velocities


@dataclass(frozen=True)
class Request:
    """One clip to generate. Sides are multiples of 8 px, `num_frames` is 1 + 4k; None takes the checkpoint's default.

    With `first_frames` (1 + 4j, H, W, 3) uint8 the clip continues them. With `refine` the refiner first makes the prompt
    dense; no fact of it is lost.
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

    def with_defaults(self, defaults: SamplingConfig) -> Request:
        """The request with its steps and scale filled in. Raises ShapeError or ReferenceModelError for invalid values."""
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
            shape = self.first_frames.shape
            expected = (self.height, self.width, 3)
            if len(shape) != 4 or shape[1:] != expected or shape[0] >= self.num_frames or (shape[0] - 1) % 4:
                raise ShapeError(
                    f"first_frames has the shape {shape}; expected (T, {', '.join(map(str, expected))}) with T = 1 + 4k "
                    f"below the {self.num_frames} frames asked for"
                )
        return replace(self, num_inference_steps=steps, guidance_scale=scale)

    @property
    def grid(self) -> patchify.Grid:
        """Tokens in t, y, x."""
        return patchify.grid_of(self.num_frames, self.height, self.width)

    @property
    def twins(self) -> int:
        """Segments of the clip in the packs: 2 with guidance, whose unconditional twin shares the batch, else 1."""
        return 1 if self.guidance_scale == 1.0 else 2


@dataclass(frozen=True)
class Sample:
    """Frames (T, H, W, 3) uint8, the prompt (refined, where asked for), and this clip's share of the seconds of each stage:
    text, denoise, denoise_step (one step of it) and decode."""

    frames: Frames
    seconds: dict[str, float]
    prompt: str


@dataclass(frozen=True)
class Texts:
    """Distinct prompts after the text encoder: their rows, lengths (N,), states (N, M, D) and pooled vectors (N, D)."""

    rows: dict[str, int]
    lengths: npt.NDArray[np.int64]
    states: flow.Floats
    pooled: flow.Floats


def batches(sizes: Sequence[int], shapes: Sequence[patchify.Grid], packing: str) -> list[list[int]]:
    """Batches of clip numbers, each once, for clips of `sizes` tokens (with guidance, twice those of the grid).

    "packed" shares packs (NaViT). The baselines are "single", one clip at a time, "bucketed", batches of one shape, and
    "padded", clips padded to the longest of their batch. Raises ReferenceModelError for another packing.

    >>> batches([80, 80, 20], [(5, 4, 4), (5, 4, 4), (5, 2, 2)], "bucketed")
    [[2], [0, 1]]
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
    """The whole generator. `Pipeline.load("base")` reads a shipped checkpoint, or a folder of the same layout.

    With a `guide`, a weaker checkpoint of the same training, guidance extrapolates from its velocity for the same prompt
    instead of from the unconditional one (Karras et al. 2024, auto-guidance).
    """

    def __init__(self, backend: Backend, refiner: Refiner | None = None, guide: Backend | None = None) -> None:
        self.backend, self.guide = backend, guide
        self.config = backend.config
        self.refiner = refiner or LocalRefiner(backend.run, self.config.refiner.max_tokens)

    @staticmethod
    def load(
        checkpoint: str = "base",
        backend: str = "onnx",
        device: str = "cpu",
        threads: int = 0,
        refiner: Refiner | None = None,
        guide: str = "",
    ) -> Pipeline:
        """The pipeline of a checkpoint. Raises CheckpointError or ReferenceModelError as `load_backend` does."""
        weak = load_backend(guide, backend, device, threads) if guide else None
        return Pipeline(load_backend(checkpoint, backend, device, threads), refiner, weak)

    def generate(self, requests: Sequence[Request], packing: str = "packed") -> list[Sample]:
        """One clip per request, in order; mixed shapes and lengths share packs.

        Raises ShapeError, PromptError or ReferenceModelError for a request that cannot be generated.
        """
        jobs = self._refine_prompts([r.with_defaults(self.config.sampling) for r in requests])
        out: dict[int, Sample] = {}
        for steps in sorted({r.num_inference_steps or 1 for r in jobs}):
            group = [i for i, r in enumerate(jobs) if r.num_inference_steps == steps]
            sizes = [jobs[i].twins * patchify.tokens_of(jobs[i].grid) for i in group]
            for batch in batches(sizes, [jobs[i].grid for i in group], packing):
                members = [group[i] for i in batch]
                samples = self._generate([jobs[i] for i in members], steps, shared=packing == "packed")
                out.update(zip(members, samples, strict=True))
        return [out[i] for i in range(len(jobs))]

    def _refine_prompts(self, requests: list[Request]) -> list[Request]:
        places = [i for i, r in enumerate(requests) if r.refine]
        if places:
            prompts, seeds = [requests[i].prompt for i in places], [requests[i].seed for i in places]
            tokenize(prompts, self.config.text.max_tokens)  # an unknown word is the user's to fix, not the refiner's
            for i, prompt in zip(places, refine(self.refiner, prompts, seeds, self.config.text.max_tokens), strict=True):
                requests[i] = replace(requests[i], prompt=prompt)
        return requests

    def _generate(self, requests: list[Request], steps: int, shared: bool) -> list[Sample]:
        """Clips of one batch. A clip and its unconditional twin are segments; with `shared` several of them share a pack.

        At times at which guidance does not act the twins are left out. A guide takes the place of the twins.
        """
        started = time.perf_counter()
        sampling, scales = self.config.sampling, [float(r.guidance_scale or 0.0) for r in requests]
        twins = [r.twins for r in requests]
        alone = [1] * len(requests)
        texts = self._texts(self.backend, requests, unconditional=2 in twins and self.guide is None)
        weak_texts = self._texts(self.guide, requests, unconditional=False) if self.guide and 2 in twins else None
        text_done = time.perf_counter()

        inputs = [self._known_tokens(r) for r in requests]
        known = [len(g) for g in inputs]
        sizes = [patchify.tokens_of(r.grid) for r in requests]
        noise = [flow.noise_for(r.seed, (n, 4 * self.config.dit.channels)) for r, n in zip(requests, sizes, strict=True)]
        x = [np.concatenate([g, e[len(g) :]]) for g, e in zip(inputs, noise, strict=True)]
        ends = np.cumsum(sizes)[:-1]

        def bind_field(backend: Backend, texts: Texts, segments: list[int]) -> Field:
            return _field(backend, requests, texts, segments, x, known, shared)

        acts_from, acts_until = sampling.guidance_times
        always = acts_from <= 0.0 and acts_until >= 1.0
        fields: dict[str, Field] = {}
        if 2 not in twins or self.guide or not always:
            fields["alone"] = bind_field(self.backend, texts, alone)
        if self.guide and weak_texts:
            fields["guide"] = bind_field(self.guide, weak_texts, alone)
        elif 2 in twins:
            fields["twins"] = bind_field(self.backend, texts, twins)

        def velocity(flat: flow.Floats, t: float) -> flow.Floats:
            now = np.split(flat, ends)
            if 2 not in twins or not acts_from <= t <= acts_until:
                velocities = fields["alone"](now, t)
            elif "guide" in fields:
                pairs = zip(fields["alone"](now, t), fields["guide"](now, t), scales, strict=True)
                velocities = [a if scale == 1.0 else flow.guide(a, b, scale) for a, b, scale in pairs]
            else:
                out, first = fields["twins"](now, t), np.cumsum([0, *twins])
                velocities = [
                    out[f] if n == 1 else flow.guide(out[f], out[f + 1], scale)
                    for f, n, scale in zip(first[:-1], twins, scales, strict=True)
                ]
            return np.concatenate([np.concatenate([0 * v[:n], v[n:]]) for v, n in zip(velocities, known, strict=True)])

        latents = np.split(flow.integrate(np.concatenate(x), velocity, steps, sampling.time_shift), ends)
        denoise_done = time.perf_counter()
        frames = self._decode([patchify.unpatchify(v, r.grid) for v, r in zip(latents, requests, strict=True)])
        done = time.perf_counter()

        counts = np.array(sizes, float)
        denoise = denoise_done - text_done
        stage_seconds = {
            "text": text_done - started,
            "denoise": denoise,
            "denoise_step": denoise / steps,
            "decode": done - denoise_done,
        }
        return [
            Sample(f, {stage: seconds * float(share) for stage, seconds in stage_seconds.items()}, r.prompt)
            for f, share, r in zip(frames, counts / counts.sum(), requests, strict=True)
        ]

    def denoising_losses(
        self, clips: Sequence[Frames], prompts: Sequence[str], times: Sequence[float], seed: int
    ) -> npt.NDArray[np.float64]:
        """Mean squared error (N, len(times)) of the predicted velocity of each clip (T, H, W, 3) at times in (0, 1).

        The noise depends on seed, time and shape alone: clips of one shape share it. An empty prompt is the unconditional
        branch. Raises ShapeError and PromptError.
        """
        requests = [Request(p, c.shape[2], c.shape[1], len(c)) for p, c in zip(prompts, clips, strict=True)]
        for clip in clips:
            check_shape(*clip.shape[:3])
        losses = np.zeros((len(clips), len(times)))
        sizes = [patchify.tokens_of(r.grid) for r in requests]
        for batch in batches(sizes, [r.grid for r in requests], "packed"):
            some = [requests[i] for i in batch]
            texts = self._texts(self.backend, some, unconditional=False)
            x = [self._tokens(clips[i]) for i in batch]
            field = _field(self.backend, some, texts, [1] * len(batch), x, [0] * len(batch), shared=True)
            for place, t in enumerate(times):
                noise = [flow.noise_for(seed + 1000 * place, v.shape) for v in x]
                noisy = [np.float32(1 - t) * v + np.float32(t) * e for v, e in zip(x, noise, strict=True)]
                for i, out, v, e in zip(batch, field(noisy, t), x, noise, strict=True):
                    losses[i, place] = float(np.mean((out - (e - v)) ** 2, dtype=np.float64))
        return losses

    def _texts(self, backend: Backend, requests: list[Request], *, unconditional: bool) -> Texts:
        distinct = sorted({r.prompt for r in requests} | ({""} if unconditional else set()))
        ids, lengths = tokenize(distinct, self.config.text.max_tokens)
        states, pooled = backend.run("text_encoder", ids)
        return Texts({prompt: row for row, prompt in enumerate(distinct)}, lengths, states, pooled)

    def _known_tokens(self, request: Request) -> flow.Floats:
        """Tokens (n, 4z) of `first_frames`; n is 0 without them."""
        if request.first_frames is None:
            return np.zeros((0, 4 * self.config.dit.channels), np.float32)
        return self._tokens(request.first_frames)

    def _tokens(self, frames: Frames) -> flow.Floats:
        """The latent of a clip (T, H, W, 3) as tokens (n, 4z)."""
        (latent,) = self.backend.run("vae_encoder", to_video(frames))
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
        """A clip (T, H, W, 3) through the VAE and back: what the latent alone loses. Raises ShapeError."""
        check_shape(*frames.shape[:3])
        (latent,) = self.backend.run("vae_encoder", to_video(frames))
        out: Frames = to_frames(self.backend.run("vae_decoder", latent)[0])[0]
        return out

    def caption(self, clips: Sequence[Frames]) -> list[str]:
        """Dense captions of clips (T, H, W, 3) of any valid shapes, by the recaptioner. Raises ShapeError."""
        for clip in clips:
            check_shape(*clip.shape[:3])
        c = self.config.captioner
        return caption_clips(self.backend.run, clips, c.drop_threshold, c.max_tokens)


def _field(
    backend: Backend,
    requests: list[Request],
    texts: Texts,
    segments: list[int],
    start: list[flow.Floats],
    known: list[int],
    shared: bool,
) -> Field:
    """The network on these requests, bound once for many evaluations; `segments[i]` is 2 where request i has an unconditional
    twin. The result has one entry per segment."""
    owner = [i for i, n in enumerate(segments) for _ in range(n)]
    first = np.cumsum([0, *segments])
    rows = np.array([texts.rows["" if clip != first[i] else requests[i].prompt] for clip, i in enumerate(owner)])
    places = [patchify.positions(requests[i].grid) for i in owner]
    sizes = [len(p) for p in places]
    groups = patchify.best_fit(sizes, max(PACK_TOKENS, *sizes)) if shared else [[i] for i in range(len(sizes))]
    lengths, width = texts.lengths[rows].tolist(), texts.states.shape[1]
    packs = patchify.pack(places, lengths, width, groups, known=[known[i] for i in owner])
    extent = np.array([requests[i].grid for i in owner], np.int64)[packs.state_clip]
    pooled, states = texts.pooled[rows][packs.state_clip], texts.states[rows]
    fixed = (extent, pooled, states, packs.text_index, packs.text_clip)

    def lay_out(now: Sequence[flow.Floats], t: float) -> tuple[flow.Floats, flow.Floats]:
        return packs.gather([now[i] for i in owner]), packs.times(np.full(len(owner), t, np.float32))

    tokens, times = lay_out(start, 1.0)
    step = backend.bind("dit", (tokens, packs.clip, packs.state, packs.position, times, *fixed), moving=(0, 4))
    return lambda now, t: packs.scatter(step(*lay_out(now, t)))


def _same_shape(arrays: Sequence[npt.NDArray[np.float32]]) -> Iterator[list[int]]:
    for shape in sorted({a.shape for a in arrays}):
        yield [i for i, a in enumerate(arrays) if a.shape == shape]


def to_video(frames: Frames) -> npt.NDArray[np.float32]:
    """Frames (T, H, W, 3) uint8 to a video (1, 3, T, H, W) in [-1, 1]."""
    return np.ascontiguousarray(frames.astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1.0)


def to_frames(video: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Videos (N, 3, T, H, W) in [-1, 1] to frames (N, T, H, W, 3) uint8, rounded and clipped."""
    return np.clip(np.round((video + 1.0) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 4, 1)
