"""A text-to-video pipeline of diffusers as a generator: `diffusers:ID`. Needs the extra `diffusers`."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from sora_eval.generators.protocol import Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError, reason_of
from sora_eval.util.pickles import weights_only

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
NEEDED = ("prompt", "height", "width", "num_frames")


def open_diffusers(argument: str, options: dict[str, str]) -> DiffusersGenerator:
    """A pipeline of diffusers. Raises GeneratorError for a missing package, pipeline or device, or other output."""
    spec = f"diffusers:{argument}"
    device, dtype = options.get("device", "cpu"), options.get("dtype", "float32")
    if not argument:
        raise GeneratorError("diffusers:ID needs a folder or the name of a pipeline on the hub")
    if dtype not in DTYPES:
        raise GeneratorError(f"{spec}: dtype={dtype} is not one of: {', '.join(DTYPES)}")
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise GeneratorError(f"{spec}: device={device} is neither cpu nor cuda")
    if device != "cpu" and not torch.cuda.is_available():
        raise GeneratorError(f"{spec}: device {device!r} was asked for, but torch finds no GPU")
    try:
        import diffusers
    except ImportError as error:
        raise GeneratorError(f"{spec} needs diffusers ({error}); install sora_eval[diffusers]") from error
    try:
        opener: Any = diffusers.DiffusionPipeline  # untyped where it is installed, unknown where it is not
        with weights_only():
            pipeline = opener.from_pretrained(argument, torch_dtype=DTYPES[dtype])
    except Exception as error:  # diffusers and the hub raise what they like
        raise GeneratorError(f"{spec} cannot be opened: {reason_of(error)}") from error
    missing = [name for name in NEEDED if name not in inspect.signature(pipeline.__call__).parameters]
    if missing:
        raise GeneratorError(f"{spec}: {type(pipeline).__name__} takes no {', '.join(missing)}; expected text to video")
    pipeline.set_progress_bar_config(disable=True)
    return DiffusersGenerator(argument, pipeline.to(device), device, dtype)


class DiffusersGenerator(Generator):
    """A pipeline called with one request at a time, each with a CPU random generator of its own seed: the same noise on
    every device."""

    name = "diffusers"

    def __init__(self, checkpoint: str, pipeline: Any, device: str, dtype: str) -> None:
        self.checkpoint, self._pipeline, self._device, self._dtype = checkpoint, pipeline, device, dtype
        self._parameters = inspect.signature(pipeline.__call__).parameters
        self.capabilities = Capabilities(
            side=int(getattr(pipeline, "vae_spatial_compression_ratio", 0) or getattr(pipeline, "vae_scale_factor_spatial", 8)),
            stride=int(
                getattr(pipeline, "vae_temporal_compression_ratio", 0) or getattr(pipeline, "vae_scale_factor_temporal", 1)
            ),
        )

    @property
    def where(self) -> dict[str, Any]:
        """Device, provider, threads and precision."""
        return {"device": self._device, "provider": "torch eager", "threads": torch.get_num_threads(), "dtype": self._dtype}

    def synchronise(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize(self._device)

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{type(self._pipeline).__name__} {self._dtype}".encode())
        for name, part in sorted(self._pipeline.components.items()):
            if isinstance(part, torch.nn.Module):
                for key, tensor in sorted(part.state_dict().items()):
                    digest.update(f"{name}.{key}".encode())
                    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
            else:
                digest.update(f"{name} {getattr(part, 'config', type(part).__name__)}".encode())
        return digest.hexdigest()[:16]

    def fingerprint(self) -> str:
        """Hash of all weights, of the class and of the scheduler's settings."""
        return self._fingerprint

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        return [self._clip(r) for r in requests]

    def _clip(self, r: Request) -> Clip:
        options = {"num_inference_steps": r.num_inference_steps, "guidance_scale": r.guidance_scale}
        keywords: dict[str, Any] = {k: v for k, v in options.items() if v is not None}
        unknown = [k for k in keywords if k not in self._parameters]
        if unknown:
            raise GeneratorError(f"{type(self._pipeline).__name__} takes no {', '.join(unknown)}; leave it out of [generate]")
        clock = Stages(self._pipeline, self.synchronise)
        if "callback_on_step_end" in self._parameters:
            keywords["callback_on_step_end"] = clock.after_step
        with clock:
            output = self._pipeline(
                prompt=r.prompt,
                height=r.height,
                width=r.width,
                num_frames=r.num_frames,
                generator=torch.Generator().manual_seed(r.seed),
                output_type="np",
                **keywords,
            )
        values = np.asarray(output.frames[0], np.float32)  # (T, H, W, 3) in [0, 1]
        if not np.isfinite(values).all():
            raise GeneratorError("the pipeline gave NaN or infinite values")
        return Clip(np.rint(values.clip(0, 1) * 255).astype(np.uint8), r.fps, clock.seconds)


class Stages:
    """Splits a pipeline's call into text, denoise, denoise_step (one of them) and decode, by the pipeline's own callback.

    The device is synchronised at the end of a stage, never between steps. Without a callback there is no split.
    """

    def __init__(self, pipeline: Any, synchronise: Callable[[], None]) -> None:
        self._pipeline, self._synchronise = pipeline, synchronise
        self._text, self._steps, self._denoised = 0.0, 0, 0.0
        self.seconds: dict[str, float] = {}

    def after_step(self, pipeline: Any, step: int, time_of_step: Any, values: dict[str, Any]) -> dict[str, Any]:
        """The pipeline's `callback_on_step_end`; returns `values` unchanged."""
        self._steps = step + 1
        if self._steps == pipeline.num_timesteps:
            self._synchronise()
            self._denoised = time.perf_counter()
        return values

    def __enter__(self) -> None:
        encode = getattr(self._pipeline, "encode_prompt", None)
        if encode is not None:
            self._pipeline.encode_prompt = partial(self._time_encode, encode)
        self._started = time.perf_counter()

    def _time_encode(self, encode: Any, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        out = encode(*arguments, **options)
        self._synchronise()
        self._text += time.perf_counter() - started
        return out

    def __exit__(self, *_: object) -> None:
        self._synchronise()
        ended = time.perf_counter()
        vars(self._pipeline).pop("encode_prompt", None)
        if self._denoised:
            denoise = self._denoised - self._started - self._text
            split = {"text": self._text, "denoise": denoise, "denoise_step": denoise / self._steps}
            self.seconds = {**split, "decode": ended - self._denoised}
