"""Noise levels of diffusers' schedulers: how a clean latent is made noisy, and what the denoiser is then asked for.

A level is named by its share of noise, sigma / (alpha + sigma) of `alpha clean + sigma noise`: the time of a flow, and for the
discrete schedulers the timestep of the nearest share. So one share is one signal-to-noise ratio in every pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sora_eval.util.errors import Undefined

FLOW, TO_CLEAN = "flow_prediction", "flow to the clean latent"  # the second is Mochi's: minus the first
DISCRETE = ("epsilon", "v_prediction", "sample")  # of diffusers' `prediction_type`, beside a flow's


@dataclass(frozen=True)
class NoiseLevel:
    """A noisy latent is `alpha clean + sigma noise`; `timestep` (a scalar tensor) is what the denoiser is told of it."""

    alpha: float
    sigma: float
    timestep: Tensor
    prediction: str

    def noisy(self, clean: Tensor, noise: Tensor) -> Tensor:
        """The noisy latent, of their shape."""
        return self.alpha * clean + self.sigma * noise

    def target(self, clean: Tensor, noise: Tensor) -> Tensor:
        """What a perfect denoiser predicts, of their shape."""
        match self.prediction:
            case "flow_prediction":
                return noise - clean
            case "flow to the clean latent":
                return clean - noise
            case "epsilon":
                return noise
            case "v_prediction":
                return self.alpha * noise - self.sigma * clean
            case _:
                return clean


def noise_levels(scheduler: Any, shares: Sequence[float]) -> list[NoiseLevel]:
    """The levels of these shares of noise, in (0, 1), for the denoiser that a scheduler of diffusers steps.

    Raises Undefined for one that is neither of a rectified flow nor of a table of alphas (DDPM, DDIM, DPM-Solver, Euler).
    """
    config, name = dict(scheduler.config), type(scheduler).__name__
    prediction = config.get("prediction_type")
    if name.startswith("FlowMatch") or prediction == FLOW:
        # Timesteps of a flow are its times; a scheduler's shift moves only which of them are visited.
        steps = config["num_train_timesteps"]
        reverse = bool(config.get("invert_sigmas"))
        return [
            NoiseLevel(1 - s, s, torch.tensor((1 - s if reverse else s) * steps), TO_CLEAN if reverse else FLOW) for s in shares
        ]
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if prediction not in DISCRETE or not isinstance(alphas, Tensor) or config.get("timestep_type") == "continuous":
        raise Undefined(f"its scheduler {name} is neither of a rectified flow nor of a table of alphas")
    alpha, sigma = alphas.double().cpu().sqrt(), (1 - alphas.double().cpu()).sqrt()
    places = [int((sigma / (alpha + sigma) - share).abs().argmin()) for share in shares]
    return [NoiseLevel(float(alpha[i]), float(sigma[i]), torch.tensor(i), str(prediction)) for i in places]
