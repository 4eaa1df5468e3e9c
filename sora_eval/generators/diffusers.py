"""A text-to-video pipeline of diffusers as a generator: `diffusers:ID`. Needs the extra `diffusers`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from sora_eval.clip import Clip
from sora_eval.errors import GeneratorError
from sora_eval.generators import Capabilities, Request, refuse_options

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
NEEDED = ("prompt", "height", "width", "num_frames")


def open_diffusers(argument: str, options: dict[str, str]) -> DiffusersGenerator:
    """Raises GeneratorError where diffusers, the pipeline or the device is not there, or it makes no videos."""
    spec = f"diffusers:{argument}"
    refuse_options(options, ("device", "dtype"), spec)
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
        pipeline = opener.from_pretrained(argument, torch_dtype=DTYPES[dtype])
    except Exception as error:  # diffusers and the hub raise what they like
        raise GeneratorError(f"{spec} cannot be opened: {type(error).__name__}: {' '.join(str(error).split())}") from error
    missing = [name for name in NEEDED if name not in inspect.signature(pipeline.__call__).parameters]
    if missing:
        raise GeneratorError(f"{spec}: {type(pipeline).__name__} takes no {', '.join(missing)}; expected text to video")
    pipeline.set_progress_bar_config(disable=True)
    return DiffusersGenerator(argument, pipeline.to(device), device, dtype)


class DiffusersGenerator:
    """A pipeline asked one request at a time, each with a generator of its own seed, on the processor: the same noise on
    every device."""

    batch, name = 1, "diffusers"

    def __init__(self, checkpoint: str, pipeline: Any, device: str, dtype: str) -> None:
        self.checkpoint, self._pipeline, self._device, self._dtype = checkpoint, pipeline, device, dtype
        self._accepted = inspect.signature(pipeline.__call__).parameters
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
        return [Clip(self._frames(r), r.fps) for r in requests]

    def _frames(self, r: Request) -> Any:
        options = {"num_inference_steps": r.num_inference_steps, "guidance_scale": r.guidance_scale}
        asked = {k: v for k, v in options.items() if v is not None}
        unknown = [k for k in asked if k not in self._accepted]
        if unknown:
            raise GeneratorError(f"{type(self._pipeline).__name__} takes no {', '.join(unknown)}; leave it out of [generate]")
        made = self._pipeline(
            prompt=r.prompt,
            height=r.height,
            width=r.width,
            num_frames=r.num_frames,
            generator=torch.Generator().manual_seed(r.seed),
            output_type="np",
            **asked,
        )
        values = np.asarray(made.frames[0], np.float32)  # (T, H, W, 3) in [0, 1]
        if not np.isfinite(values).all():
            raise GeneratorError("the pipeline gave NaN or infinite values")
        return np.rint(values.clip(0, 1) * 255).astype(np.uint8)
