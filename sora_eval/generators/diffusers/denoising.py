"""How badly a pipeline's denoiser predicts a clip from a noisy one, by a call of the pipeline itself.

In the call the scheduler is replaced: instead of stepping, it hands out the noisy latents of the next level and compares what
was predicted with the target. So prompts, timesteps, conditions and the choice of the denoiser are the pipeline's own code.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sora_eval.generators.diffusers.latents import Latents
from sora_eval.generators.diffusers.noising import NoiseLevel
from sora_eval.util.errors import GeneratorError

SCHEDULES = ("sigmas", "timesteps", "guidance_scale_2", "guidance_rescale")  # keywords of a call that its levels replace


class Probe:
    """In place of a scheduler: a schedule of noise levels, at each of which the noisy latent is handed out whole.

    The first step is of the pipeline's own noise and is not compared: pipelines differ in how they take latents, not in how
    they step them. The last one hands out the clean latent, which the pipeline would decode. `losses` (B, levels) are mean
    squared errors.
    """

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, scheduler: Any, levels: Sequence[NoiseLevel], clean: Tensor, noise: Sequence[Tensor], layout: Any):
        self._scheduler, self._levels, self._clean, self._noise, self._layout = scheduler, levels, clean, noise, layout
        self._place = -1  # of the level at which the next prediction was made
        self._given = clean
        self.losses = np.full((len(clean), len(levels)), np.nan)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not yet there, in a copy that is being made
            raise AttributeError(name)
        return getattr(self._scheduler, name)

    def set_timesteps(
        self, num_inference_steps: Any = None, device: Any = None, timesteps: Any = None, sigmas: Any = None, mu: Any = None
    ) -> None:
        """A schedule of one step more than there are levels, whatever is asked for."""
        levels = [self._levels[0], *self._levels]
        self.timesteps = torch.stack([level.timestep for level in levels]).to(device)
        self.sigmas = torch.tensor([level.sigma for level in levels] + [0.0])
        self.num_inference_steps = len(levels)

    def set_begin_index(self, begin_index: int = 0) -> None:
        """There is one way through the levels."""

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """Noisy latents are on the scale of the denoiser already."""
        return sample

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True, **_: Any) -> Any:
        """Compare a prediction with its target, and hand out the noisy latent of the next level. Raises GeneratorError for a
        pipeline that steps another shape, or other latents than it was given."""
        expected = self._layout(self._given)
        if sample.shape != expected.shape or model_output.shape != expected.shape:
            shapes = f"{tuple(sample.shape)} by {tuple(model_output.shape)}"
            raise GeneratorError(f"the pipeline steps latents {shapes}; those of the clip are {tuple(expected.shape)}")
        if self._place >= 0:
            if not torch.equal(sample, expected.to(sample.dtype)):
                raise GeneratorError("the pipeline changes its latents between steps, so the loss of a clip has no meaning")
            target = self._layout(self._levels[self._place].target(self._clean, self._noise[self._place]))
            error = (model_output.float() - target).double().square().reshape(len(self._clean), -1)
            self.losses[:, self._place] = error.mean(1).cpu().numpy()
        self._place += 1
        last = self._place == len(self._levels)
        self._given = self._clean if last else self._levels[self._place].noisy(self._clean, self._noise[self._place])
        latents = self._layout(self._given).to(sample.dtype)
        return SimpleNamespace(prev_sample=latents) if return_dict else (latents,)


def losses_of(
    pipeline: Any, keywords: dict[str, Any], levels: Sequence[NoiseLevel], clean: Tensor, seed: int, rule: Latents
) -> npt.NDArray[np.float64]:
    """Mean squared errors (B, levels) of a pipeline's predictions of clean latents (B, C, t, h, w), without guidance.

    Clips of one shape get the noise of one seed, at each level another. Raises GeneratorError where a prediction is not finite,
    and as `Probe.step` does.
    """
    noise = [_noise(clean, seed + 1000 * place) for place in range(len(levels))]
    with probed(pipeline, levels, clean, noise, rule) as probe:
        pipeline(**unguided(pipeline, keywords, len(levels)))
    if not np.isfinite(probe.losses).all():
        raise GeneratorError("the denoiser predicts NaN or infinite values")
    return probe.losses


def unguided(pipeline: Any, keywords: dict[str, Any], levels: int) -> dict[str, Any]:
    """The keywords of a call of one prediction per level, and one more; nothing is decoded."""
    kept = {key: value for key, value in keywords.items() if key not in SCHEDULES}
    changed: dict[str, Any] = {"num_inference_steps": levels + 1, "output_type": "latent"}
    embedded = getattr(getattr(getattr(pipeline, "transformer", None), "config", None), "guidance_embeds", False)
    for name in ("guidance_scale", "true_cfg_scale"):
        # A scale that the denoiser is told of is an input like the time; others mix two predictions, and 1 leaves the first.
        if name in inspect.signature(pipeline.__call__).parameters and not (embedded and name == "guidance_scale"):
            changed[name] = 1.0
    return kept | changed


@contextmanager
def probed(
    pipeline: Any, levels: Sequence[NoiseLevel], clean: Tensor, noise: Sequence[Tensor], rule: Latents
) -> Iterator[Probe]:
    """Inside, the pipeline's scheduler is a `Probe`, and its guider, if it has one, is off."""
    scheduler, guider = pipeline.scheduler, getattr(pipeline, "guider", None)
    probe = Probe(scheduler, levels, clean, noise, lambda z: rule.layout(pipeline, z))
    pipeline.scheduler = probe
    if guider is not None:
        pipeline.guider = guider.new(enabled=False)
    try:
        yield probe
    finally:
        pipeline.scheduler = scheduler
        if guider is not None:
            pipeline.guider = guider


def _noise(clean: Tensor, seed: int) -> Tensor:
    """Normal noise (B, C, t, h, w), drawn on the CPU: the same on every device and for every clip of the shape."""
    return torch.randn(clean[:1].shape, generator=torch.Generator().manual_seed(seed)).to(clean.device).expand_as(clean)
