"""The reference model, its world and its VAE as generators. With `metrics.captions` and `world_corruptions` the only
modules of the harness that import it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reference_model.errors import ReferenceModelError
from reference_model.packing.patchify import PACKINGS, grid_of, tokens_of
from reference_model.packing.shapes import MULTIPLE, TIME_STRIDE, check_window
from reference_model.sampling.checkpoint import read_checkpoint, resolve
from reference_model.world import FPS, Facts, Frames, make_clip
from sora_eval.generators.protocol import AS_A_BATCH, Generator
from sora_eval.generators.shapes import check_shape
from sora_eval.generators.world_corruptions import damaged_frames
from sora_eval.records.capabilities import MOST_FRAMES, Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError

if TYPE_CHECKING:  # torch comes with the networks, when a pipeline is loaded: a wrong spec and the world need none
    from reference_model.networks.refiner import Refiner
    from reference_model.sampling import pipeline as model

BATCH = 8
MOST_THREADS = 1024


def _pipeline(checkpoint: str, options: dict[str, str], spec: str, refiner: Refiner | None = None) -> model.Pipeline:
    from reference_model.sampling.pipeline import Pipeline

    try:
        return Pipeline.load(
            checkpoint or "base",
            options.get("backend", "onnx"),
            options.get("device", "cpu"),
            int(options.get("threads", "0")),
            refiner,
        )
    except ReferenceModelError as error:
        raise GeneratorError(f"{spec}: {error}") from error


def _check_pipeline(checkpoint: str, options: dict[str, str], spec: str) -> None:
    threads = options.get("threads", "0")
    if not _is_whole(threads, MOST_THREADS):
        raise GeneratorError(f"{spec}: threads={threads} is not a whole number up to {MOST_THREADS}")
    try:
        resolve(checkpoint or "base")
    except ReferenceModelError as error:
        raise GeneratorError(f"{spec}: {error}") from error


def open_reference(checkpoint: str, options: dict[str, str]) -> ReferenceGenerator:
    """`refine` is true, false or the address of an OpenAI-compatible endpoint (ends in /v1; needs `refine_model`).

    With `first_frames=N` the clip continues the first N frames of the world's clip for the same prompt and seed. With
    `window=N` clips longer than N frames are made N at a time, each going on from the last frames of the one before.
    `steps` and `guidance` replace the suite's, so that two settings can be compared on one suite. Raises GeneratorError.
    """
    spec, refiner = f"reference:{checkpoint or 'base'}", None
    if "refine_model" in options:
        from reference_model.networks.refiner import EndpointRefiner

        refiner = EndpointRefiner(options["refine"], options["refine_model"])
    return ReferenceGenerator(checkpoint or "base", _pipeline(checkpoint, options, spec, refiner), options)


def check_reference(checkpoint: str, options: dict[str, str]) -> None:
    """Raises GeneratorError for a missing checkpoint and for invalid values of options."""
    spec = f"reference:{checkpoint or 'base'}"
    refine = options.get("refine", "false")
    if refine.startswith(("http://", "https://")):
        if "refine_model" not in options:
            raise GeneratorError(f"{spec}: refine={refine} needs refine_model=NAME, the model to ask for")
    elif "refine_model" in options:
        raise GeneratorError(f"{spec}: refine_model is for an endpoint; refine={refine} asks none")
    elif refine not in ("true", "false"):
        raise GeneratorError(f"{spec}: refine={refine} is neither true, false nor the address of an endpoint")
    first = options.get("first_frames", "0")
    if not _is_whole(first) or (int(first) and int(first) % TIME_STRIDE != 1):
        raise GeneratorError(f"{spec}: first_frames={first} is not 1 + a multiple of {TIME_STRIDE}")
    if "window" in options:
        _check_window(options["window"], spec)
    steps = options.get("steps", "1")
    if not _is_whole(steps) or int(steps) < 1:
        raise GeneratorError(f"{spec}: steps={steps} is not a whole number of at least 1")
    if not _finite(options.get("guidance", "1")):
        raise GeneratorError(f"{spec}: guidance={options['guidance']} is not a finite number; 1 is no guidance")
    _check_pipeline(checkpoint, options, spec)


def _check_window(window: str, spec: str) -> None:
    if not _is_whole(window):
        raise GeneratorError(f"{spec}: window={window} is not a whole number of frames")
    try:
        check_window(int(window))
    except ReferenceModelError as error:
        raise GeneratorError(f"{spec}: {error}") from error


def _is_whole(text: str, most: int = 10**9) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most


def _finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def open_world(argument: str, options: dict[str, str]) -> WorldGenerator:
    """The world as a generator."""
    return WorldGenerator()


def check_world(argument: str, options: dict[str, str]) -> None:
    """Raises GeneratorError for an argument: there is one world."""
    if argument:
        raise GeneratorError(f"world takes no argument, found {argument!r}")


def open_vae(checkpoint: str, options: dict[str, str]) -> VAEGenerator:
    """The VAE of a checkpoint as a generator. Raises GeneratorError."""
    return VAEGenerator(checkpoint or "base", _pipeline(checkpoint, options, f"vae:{checkpoint or 'base'}"))


def check_vae(checkpoint: str, options: dict[str, str]) -> None:
    """Raises GeneratorError for a missing checkpoint and an invalid number of threads."""
    _check_pipeline(checkpoint, options, f"vae:{checkpoint or 'base'}")


class ReferenceGenerator(Generator):
    """A checkpoint of the reference model; ONNX Runtime by default, `backend=torch` for parity."""

    batch = BATCH
    capabilities = Capabilities(MULTIPLE, TIME_STRIDE, FPS, first_frames=(0, MOST_FRAMES))
    packings = PACKINGS

    def __init__(self, checkpoint: str, pipeline: model.Pipeline, options: dict[str, str]) -> None:
        self.name, self.checkpoint, self._pipeline, self._options = "reference", checkpoint, pipeline, options

    @cached_property
    def weights(self) -> str:
        """Hash of the checkpoint's files, or of those that it was quantized from."""
        return read_checkpoint(resolve(self.checkpoint)).weights_hash

    @cached_property
    def _fingerprint(self) -> str:
        settings = {k: v for k, v in self._options.items() if k not in ("backend", "device", "threads")}
        parts = [read_checkpoint(resolve(self.checkpoint)).content_hash, self._options.get("backend", "onnx")]
        return "-".join([*parts, *(f"{k}={v}" for k, v in sorted(settings.items()))])

    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def training_steps(self) -> int | None:
        """Training steps of the DiT, where the checkpoint records them."""
        return read_checkpoint(resolve(self.checkpoint)).training_steps

    def tokens(self, request: Request) -> int:
        """Tokens of one clip, without guidance and steps."""
        return tokens_of(grid_of(request.num_frames, request.height, request.width))

    @property
    def where(self) -> dict[str, Any]:
        """Device, provider and threads of the backend, and the steps and guidance that the spec fixes."""
        fixed: dict[str, Any] = {k: self._options[k] for k in ("steps", "guidance") if k in self._options}
        backend = self._pipeline.backend
        return {"device": backend.device, "provider": backend.provider, "threads": backend.threads, **fixed}

    def synchronise(self) -> None:
        self._pipeline.backend.synchronise()

    def flops(self, requests: Sequence[Request], packing: str) -> dict[str, int] | None:
        """Floating-point operations of the networks in one call; of a quantised checkpoint as if it were in fp32. None for
        clips that are made in several windows."""
        from reference_model.sampling.flops import flops

        if "window" in self._options and any(r.num_frames > int(self._options["window"]) for r in requests):
            return None
        return flops(self._pipeline, [self._to_model(r) for r in requests], _packing_of(packing))

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        return self.serve(requests, AS_A_BATCH)

    def serve(self, requests: Sequence[Request], packing: str) -> list[Clip]:
        """The clips under one of `PACKINGS`, equal up to rounding. Raises GeneratorError."""
        from reference_model.sampling.continuation import generate_in_windows

        models, way = [self._to_model(r) for r in requests], _packing_of(packing)
        try:
            if "window" in self._options:
                samples = generate_in_windows(self._pipeline, models, int(self._options["window"]), way)
            else:
                samples = self._pipeline.generate(models, way)
        except ReferenceModelError as error:
            raise GeneratorError(str(error)) from error
        return [Clip(s.frames, FPS, s.seconds) for s in samples]

    def denoising_losses(
        self, clips: Sequence[Clip], prompts: Sequence[str], times: Sequence[float], seed: int
    ) -> npt.NDArray[np.float64]:
        """Of the velocity in latents. Raises GeneratorError for a shape or a word that the checkpoint does not know."""
        try:
            return self._pipeline.denoising_losses([c.frames for c in clips], prompts, times, seed)
        except ReferenceModelError as error:
            raise GeneratorError(str(error)) from error

    def _to_model(self, r: Request) -> model.Request:
        from reference_model.sampling.pipeline import Request as ModelRequest

        first = int(self._options.get("first_frames", "0"))
        steps, guidance = self._options.get("steps"), self._options.get("guidance")
        return ModelRequest(
            r.prompt,
            r.width,
            r.height,
            r.num_frames,
            r.seed,
            r.num_inference_steps if steps is None else int(steps),
            r.guidance_scale if guidance is None else float(guidance),
            refine=self._options.get("refine", "false") != "false",
            first_frames=world_frames(r)[:first] if first else r.first_frames,
        )


def _packing_of(packing: str) -> str:
    return PACKINGS[0] if packing == AS_A_BATCH else packing


def _facts(request: Request) -> Facts:
    if request.facts is None:
        raise GeneratorError(f"the world renders prompts with facts, and {request.prompt!r} has none")
    return check_facts(request.facts)


def check_facts(facts: dict[str, Any]) -> Facts:
    """The facts of a prompt as the world reads them. Raises GeneratorError for facts that it cannot render."""
    try:
        return Facts.from_json(facts)
    except ReferenceModelError as error:
        raise GeneratorError(str(error)) from error


def _scene_seed(request: Request) -> list[int]:
    return [request.seed, 0xC11F]


def world_frames(request: Request) -> Frames:
    """The frames (T, H, W, 3) of the world's clip for a request. Raises GeneratorError for a prompt without facts."""
    facts = _facts(request)
    try:
        rng = np.random.default_rng(_scene_seed(request))
        return make_clip(facts, request.height, request.width, request.num_frames, rng).frames
    except ReferenceModelError as error:
        raise GeneratorError(str(error)) from error


class WorldGenerator(Generator):
    """Renders the facts of a prompt: the output of a perfect generator."""

    name, checkpoint = "world", "exact"
    capabilities = Capabilities(fps=FPS, settings=None, first_frames=(0, MOST_FRAMES))

    def fingerprint(self) -> str:
        return "world-2"

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        return [Clip(world_frames(r), FPS) for r in requests]

    def damaged(self, request: Request, corruption: str, strength: float, rng: np.random.Generator) -> Clip:
        """The same scene under a corruption of `world_corruptions`. Raises GeneratorError, or Undefined where none applies."""
        facts, size = _facts(request), (request.height, request.width, request.num_frames)
        try:
            return Clip(damaged_frames(facts, *size, _scene_seed(request), corruption, strength, rng), FPS)
        except ReferenceModelError as error:
            raise GeneratorError(str(error)) from error


class VAEGenerator(WorldGenerator):
    """The world through the reference VAE and back: an upper bound for generators on its latent."""

    name = "vae"
    capabilities = Capabilities(MULTIPLE, TIME_STRIDE, FPS, settings=None, first_frames=(0, MOST_FRAMES))

    def __init__(self, checkpoint: str, pipeline: model.Pipeline) -> None:
        self.checkpoint, self._pipeline = checkpoint, pipeline

    def fingerprint(self) -> str:
        return read_checkpoint(resolve(self.checkpoint)).content_hash

    def damaged(self, request: Request, corruption: str, strength: float, rng: np.random.Generator) -> Clip:
        check_shape(request, self.capabilities, self.name)
        return Clip(self._pipeline.reconstruct(super().damaged(request, corruption, strength, rng).frames), FPS)

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        for r in requests:
            check_shape(r, self.capabilities, self.name)
        return [Clip(self._pipeline.reconstruct(world_frames(r)), FPS) for r in requests]
