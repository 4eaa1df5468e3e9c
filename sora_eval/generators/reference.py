"""The reference model, its world and its VAE as generators. The only module of the harness that imports it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from reference_model import backends
from reference_model import pipeline as model
from reference_model.errors import ReferenceModelError
from reference_model.patchify import grid_of, tokens_of
from reference_model.shapes import MULTIPLE, TIME_STRIDE
from reference_model.world import FPS, Facts, make_clip
from sora_eval.clip import Clip
from sora_eval.errors import GeneratorError
from sora_eval.generators import Capabilities, Request, check_shape, refuse_options
from sora_eval.weights import sha256_file

BATCH = 8


def _pipeline(checkpoint: str, options: dict[str, str], spec: str) -> model.Pipeline:
    refuse_options(options, ("backend", "device", "threads"), spec)
    threads = options.get("threads", "0")
    if not threads.isdigit():
        raise GeneratorError(f"{spec}: threads={threads} is not a whole number")
    try:
        return model.Pipeline.load(
            checkpoint or "base", options.get("backend", "onnx"), options.get("device", "cpu"), int(threads)
        )
    except ReferenceModelError as error:
        raise GeneratorError(f"{spec}: {error}") from error


def open_reference(checkpoint: str, options: dict[str, str]) -> ReferenceGenerator:
    spec = f"reference:{checkpoint or 'base'}"
    return ReferenceGenerator(checkpoint or "base", _pipeline(checkpoint, options, spec), options)


def open_world(argument: str, options: dict[str, str]) -> WorldGenerator:
    refuse_options(options, (), "world")
    if argument:
        raise GeneratorError(f"world takes no argument, found {argument!r}")
    return WorldGenerator()


def open_vae(checkpoint: str, options: dict[str, str]) -> VAEGenerator:
    return VAEGenerator(checkpoint or "base", _pipeline(checkpoint, options, f"vae:{checkpoint or 'base'}"))


def _checkpoint_hash(checkpoint: str) -> str:
    folder = backends.resolve(checkpoint)
    files = [*backends.component_files(folder).values(), folder / "config.json"]
    return hashlib.sha256("".join(sha256_file(f) for f in files).encode()).hexdigest()[:16]


class ReferenceGenerator:
    """A checkpoint of the reference model; ONNX Runtime by default, `backend=torch` for parity."""

    batch = BATCH
    capabilities = Capabilities(side=MULTIPLE, stride=TIME_STRIDE)

    def __init__(self, checkpoint: str, pipeline: model.Pipeline, options: dict[str, str]) -> None:
        self.name, self.checkpoint, self._pipeline, self._options = "reference", checkpoint, pipeline, options

    @cached_property
    def _fingerprint(self) -> str:
        backend = self._options.get("backend", "onnx")
        return f"{_checkpoint_hash(self.checkpoint)}-{backend}"

    def fingerprint(self) -> str:
        return self._fingerprint

    def tokens(self, request: Request) -> int:
        """Tokens of one clip; guidance and steps not counted."""
        return tokens_of(grid_of(request.num_frames, request.height, request.width))

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        try:
            samples = self._pipeline.generate(
                [
                    model.Request(r.prompt, r.width, r.height, r.num_frames, r.seed, r.num_inference_steps, r.guidance_scale)
                    for r in requests
                ]
            )
        except ReferenceModelError as error:
            raise GeneratorError(str(error)) from error
        return [Clip(s.frames, r.fps, s.seconds) for s, r in zip(samples, requests, strict=True)]


class WorldGenerator:
    """Renders the facts of a prompt: what a perfect generator would answer."""

    name, checkpoint, batch = "world", "exact", 1
    capabilities = Capabilities()

    def fingerprint(self) -> str:
        return "world-1"

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        return [Clip(self._render(r), FPS) for r in requests]

    def _render(self, request: Request) -> Any:
        if request.facts is None:
            raise GeneratorError(f"the world renders prompts with facts, and {request.prompt!r} has none")
        try:
            facts = Facts.from_json(request.facts)
            rng = np.random.default_rng([request.seed, 0xC11F])
            return make_clip(facts, request.height, request.width, request.num_frames, rng).frames
        except ReferenceModelError as error:
            raise GeneratorError(str(error)) from error


class VAEGenerator(WorldGenerator):
    """The world through the reference VAE and back: the best that a generator on this latent can do."""

    name = "vae"
    capabilities = Capabilities(side=MULTIPLE, stride=TIME_STRIDE)

    def __init__(self, checkpoint: str, pipeline: model.Pipeline) -> None:
        self.checkpoint, self._pipeline = checkpoint, pipeline

    def fingerprint(self) -> str:
        return _checkpoint_hash(self.checkpoint)

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        for r in requests:
            check_shape(r, self.capabilities, self.name)
        return [Clip(self._pipeline.reconstruct(self._render(r)), FPS) for r in requests]
