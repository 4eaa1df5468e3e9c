"""A pipeline of diffusers as a generator: `diffusers:ID[?key=value&...]`. Needs the extra `diffusers`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sora_eval.generators.diffusers.denoising import losses_of
from sora_eval.generators.diffusers.families import (
    LENGTH_WORDS,
    RATE_WORDS,
    STRUCTURE,
    family_of,
    first_frames_of,
    lengths_of,
    multiple_of,
)
from sora_eval.generators.diffusers.latents import encoded, latents_rule
from sora_eval.generators.diffusers.noising import noise_levels
from sora_eval.generators.diffusers.opening import open_pipeline, quiet
from sora_eval.generators.diffusers.options import NAMES, PipelineOptions, read_options
from sora_eval.generators.diffusers.stages import Stages
from sora_eval.generators.protocol import Generator
from sora_eval.generators.shapes import check_shape
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import GeneratorError, near

OWN = {  # keywords that the harness gives itself, or that would change the number or the form of the clips
    *("self", "prompt", "image", "video", "cond_image", "height", "width"),
    *("generator", "output_type", "return_dict", "latents"),
    *("num_videos_per_prompt", "num_images_per_prompt", "callback", "callback_steps", "callback_on_step_end", "kwargs", "seed"),
    *("callback_on_step_end_tensor_inputs", *LENGTH_WORDS, *RATE_WORDS),
}
OUTPUTS = ("frames", "video", "images")


def open_diffusers(argument: str, options: dict[str, str]) -> DiffusersGenerator:
    """A pipeline of diffusers. Raises GeneratorError as `open_pipeline` does, and for an option that nothing of it takes."""
    read = read_options(argument, options)
    return DiffusersGenerator(argument, open_pipeline(argument, read), read)


class DiffusersGenerator(Generator):
    """A pipeline that is called with up to `batch` requests of one shape, each with a CPU random generator of its own seed: the
    same noise on every device."""

    name = "diffusers"

    def __init__(self, checkpoint: str, pipeline: Any, options: PipelineOptions) -> None:
        self.checkpoint, self._pipeline, self._options, self.batch = checkpoint, pipeline, options, options.batch
        kind = type(pipeline).__name__
        self._parameters = inspect.signature(pipeline.__call__).parameters
        self._family = family = family_of(kind)
        self._length_word = next(word for word in LENGTH_WORDS if word in self._parameters)
        self._rate_word = next((word for word in RATE_WORDS if word in self._parameters), "")
        self._scheduler, self._guider = getattr(pipeline, "scheduler", None), getattr(pipeline, "guider", None)
        self._check_keywords()
        offset, stride, most = lengths_of(pipeline, family, options.keywords)
        first = first_frames_of(pipeline, self._parameters, family)
        self.capabilities = Capabilities(
            multiple_of(pipeline, family),
            stride,
            family.rate if options.fps is None else options.fps,
            offset,
            most,
            family.sizes(pipeline) if family.sizes else (),
            tuple(sorted((self._call_keywords | self._scheduler_keys | self._guider_keys) - STRUCTURE)),
            first,
            family.known,
        )
        if self.batch > 1 and (family.alone or "prompt" not in self._parameters):
            raise GeneratorError(f"diffusers:{checkpoint}: batch={self.batch}; {kind} takes one prompt per call")
        if not family.known:
            warn_once(
                f"diffusers:{checkpoint}: the sizes, lengths and rate of {kind} are not known; its first clips are checked"
            )
        if self.capabilities.fps is None and not self._rate_word:
            warn_once(
                f"diffusers:{checkpoint}: {kind} takes no rate: its clips count as of the suite's; fps=24 would say its own"
            )
        if options.offload or options.device_map:
            self._fingerprint  # noqa: B018  (before the weights are moved away)

    @property
    def _call_keywords(self) -> set[str]:
        """What a call takes, less what the harness gives and what replaces a prompt's text."""
        own = OWN | (set(self._family.always) - {"negative_prompt"})
        return {name for name in self._parameters if name not in own and "_embeds" not in name and "_latents" not in name}

    @property
    def _scheduler_keys(self) -> set[str]:
        """The settings of the scheduler, flow_shift for example."""
        return {key for key in dict(getattr(self._scheduler, "config", {})) if not key.startswith("_")}

    @property
    def _guider_keys(self) -> set[str]:
        """What the guider takes, of pipelines in which guidance is a part of its own."""
        return set(inspect.signature(type(self._guider).__init__).parameters) - {"self"} if self._guider is not None else set()

    def _check_keywords(self) -> None:
        """Raises GeneratorError for a key of the spec that neither opens the pipeline nor is read by its calls."""
        known = self._call_keywords | self._scheduler_keys | self._guider_keys
        for key in self._options.keywords:
            if key in ("num_videos_per_prompt", "num_images_per_prompt"):
                raise GeneratorError(
                    f"diffusers:{self.checkpoint}: {key}: clips of one prompt are the seeds of [axes]; say batch=N"
                )
            if key not in known:
                what = f"{key!r} is no option, and {type(self._pipeline).__name__} takes none"
                raise GeneratorError(f"diffusers:{self.checkpoint}: {what}{near(key, [*NAMES, *sorted(known)])}")

    @property
    def where(self) -> dict[str, Any]:
        """Device, provider, threads and precision, and the settings that the spec fixes."""
        o = self._options
        provider = "torch compile" if o.compile else "torch eager"
        place = {"device": o.device, "provider": provider, "threads": torch.get_num_threads(), "dtype": o.dtype}
        chosen = ("vae_dtype", "offload", "device_map", "attention", "tiling")
        return {**place, **{key: value for key in chosen if (value := getattr(o, key))}, **o.keywords}

    def synchronise(self) -> None:
        if self._options.device.startswith("cuda"):
            torch.cuda.synchronize(self._options.device)
        elif self._options.device == "mps":
            torch.mps.synchronize()

    @cached_property
    def _fingerprint(self) -> str:
        o = self._options
        keywords = sorted(o.keywords.items())
        digest = hashlib.sha256(f"{type(self._pipeline).__name__} {o.dtype} {o.vae_dtype} {o.lora} {keywords}".encode())
        for name, part in sorted(self._pipeline.components.items()):
            if not isinstance(part, torch.nn.Module):
                digest.update(f"{name} {getattr(part, 'config', type(part).__name__)}".encode())
                continue
            for key, tensor in sorted(part.state_dict().items()):
                if tensor.is_meta:
                    raise GeneratorError(
                        f"diffusers:{self.checkpoint}: {name}.{key} is not in memory; open it without device_map"
                    )
                digest.update(f"{name}.{key}".encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def fingerprint(self) -> str:
        """Hash of all weights, of the class, of the scheduler's settings and of the keywords that the spec fixes."""
        return self._fingerprint

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        """The clips, those of one shape and one set of settings in one call; those that begin with frames one by one."""
        clips: list[Clip] = []
        for _, group in groupby(enumerate(requests), lambda pair: self._together(*pair)):
            clips += self._call([request for _, request in group])
        return clips

    def _together(self, place: int, r: Request) -> tuple[Any, ...]:
        """Equal for requests that one call can answer."""
        alone = place if r.first_frames is not None else -1
        settings = (r.num_inference_steps, r.guidance_scale, r.negative_prompt is None, sorted(r.options.items(), key=str))
        return alone, r.width, r.height, r.num_frames, r.fps, str(settings)

    def _call(self, requests: Sequence[Request]) -> list[Clip]:
        clock = Stages(self._pipeline, self.synchronise)
        with quiet():
            keywords = self._keywords(requests)
            if "callback_on_step_end" in self._parameters:
                keywords["callback_on_step_end"] = clock.after_step
            with clock:
                output = self._pipeline(**keywords)
        videos = _videos(output)
        if not np.isfinite(videos).all():
            raise GeneratorError("the pipeline gave NaN or infinite values")
        frames = np.rint(videos.clip(0, 1) * 255).astype(np.uint8)
        seconds = {stage: value / len(requests) for stage, value in clock.seconds.items()}
        return [Clip(video, self.capabilities.fps or requests[0].fps, seconds) for video in frames]

    def denoising_losses(
        self, clips: Sequence[Clip], prompts: Sequence[str], times: Sequence[float], seed: int
    ) -> npt.NDArray[np.float64]:
        """Of what the pipeline's denoiser predicts (velocity, noise), in its VAE's latents, without guidance.

        Raises Undefined for a class or a scheduler without a rule, GeneratorError for a shape that the pipeline does not make.
        """
        rule = latents_rule(self._pipeline)
        requests = [
            Request(prompt, c.width, c.height, c.num_frames, c.fps, seed) for c, prompt in zip(clips, prompts, strict=True)
        ]
        for request in requests:
            check_shape(request, self.capabilities, f"diffusers:{self.checkpoint}")
        losses = np.zeros((len(clips), len(times)))
        shapes = sorted({(c.frames.shape, c.fps) for c in clips})
        for shape in shapes:
            places = [i for i, c in enumerate(clips) if (c.frames.shape, c.fps) == shape]
            for start in range(0, len(places), self.batch):
                part = places[start : start + self.batch]
                with quiet(), torch.no_grad():
                    keywords = self._keywords([requests[i] for i in part])  # settings of the spec are the scheduler's now
                    levels = noise_levels(self._pipeline.scheduler, times)
                    device = self._pipeline._execution_device
                    clean = encoded(self._pipeline, rule, np.stack([clips[i].frames for i in part]), device)
                    losses[part] = losses_of(self._pipeline, keywords, levels, clean, seed, rule)
        return losses

    def _keywords(self, requests: Sequence[Request]) -> dict[str, Any]:
        """The arguments of one call."""
        first, alone = requests[0], len(requests) == 1
        length = (self._pipeline, first.num_frames, self._options.keywords)
        generators = [torch.Generator().manual_seed(r.seed) for r in requests]
        keywords: dict[str, Any] = {
            **self._family.always,
            **self._settings(first),
            "prompt": first.prompt if alone else [r.prompt for r in requests],
            "height": first.height,
            "width": first.width,
            self._length_word: self._family.asked(*length) if self._family.asked else first.num_frames,
            "generator": generators[0] if alone else generators,
            "output_type": "np",
        }
        unless_given = self._family.always.get("negative_prompt")
        negative = [unless_given if r.negative_prompt is None else r.negative_prompt for r in requests]
        if negative[0] is not None:
            keywords["negative_prompt"] = negative[0] if alone else negative
        if self._rate_word:
            whole = isinstance(self._parameters[self._rate_word].default, int) and first.fps == int(first.fps)
            keywords[self._rate_word] = int(first.fps) if whole else first.fps
        if first.first_frames is not None:
            keywords |= self._beginning(first.first_frames)
        return {key: value for key, value in keywords.items() if key in self._parameters}

    def _settings(self, r: Request) -> dict[str, Any]:
        """The keywords of the suite, and over them those of the spec; those of the scheduler and the guider are set there."""
        named = {"num_inference_steps": r.num_inference_steps, "guidance_scale": r.guidance_scale}
        given = {**{k: v for k, v in named.items() if v is not None}, **r.options, **self._options.keywords}
        rest = {key: value for key, value in given.items() if key not in self._call_keywords}
        if self._guider is not None:
            guides = {key: rest.pop(key) for key in list(rest) if key in self._guider_keys}
            self._pipeline.guider = self._guider.new(**guides) if guides else self._guider
        if self._scheduler is not None:
            scheduled = {key: rest.pop(key) for key in list(rest) if key in self._scheduler_keys}
            changed = type(self._scheduler).from_config(self._scheduler.config, **scheduled) if scheduled else self._scheduler
            self._pipeline.scheduler = changed
        if rest:
            raise GeneratorError(f"{type(self._pipeline).__name__} takes no {', '.join(rest)}; leave it out of [generate]")
        if "t0" in self._call_keywords and "num_inference_steps" in given:  # Text2Video-Zero: 44 and 47 of 50 steps
            steps = int(given["num_inference_steps"])
            later = min(round(47 / 50 * steps), steps - 1)
            given = {"t0": min(round(44 / 50 * steps), later - 1), "t1": later, **given}
        return {key: value for key, value in given.items() if key in self._call_keywords}

    def _beginning(self, frames: Any) -> dict[str, Any]:
        """The keywords of the frames that a clip begins with."""
        from PIL import Image

        if self._family.image == "video":  # AnyFlow's are (1, T, 3, H, W) in [0, 1]
            return {"video": torch.tensor(frames).permute(0, 3, 1, 2)[None] / 255}
        pictures = [Image.fromarray(frame) for frame in frames]
        return {"video": pictures} if len(pictures) > 1 else {self._family.image: pictures[0]}


def _videos(output: Any) -> Any:
    """Floats (n, T, H, W, 3) of a pipeline's output. Raises GeneratorError for another form."""
    values: Mapping[str, Any] = {name: getattr(output, name) for name in OUTPUTS if getattr(output, name, None) is not None}
    if not values:
        raise GeneratorError(f"the pipeline gave a {type(output).__name__} without {' or '.join(OUTPUTS)}")
    videos = np.asarray(next(iter(values.values())), np.float32)
    return videos[None] if videos.ndim == 4 else videos
