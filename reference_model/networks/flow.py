"""Rectified flow: straight lines from data (t = 0) to noise (t = 1). Esser et al. 2024 (SD3), Liu et al. 2022."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float32]


def noise_for(seed: int, shape: tuple[int, ...]) -> Floats:
    """The starting noise of one clip: depends on its seed and shape alone, never on what is generated beside it."""
    return np.random.default_rng([seed, 0x50FA]).standard_normal(shape, dtype=np.float32)


def shifted(t: npt.NDArray[np.floating], shift: float) -> Floats:
    """Times moved towards noise: shift t / (1 + (shift - 1) t). Esser et al. 2024, section 5.3.2.

    Many tokens show one object, so what moves where is decided while each of them is still almost noise: a schedule
    without shift spends a single step of twenty there, and training hardly a clip of a thousand.
    """
    return (shift * t / (1 + (shift - 1) * t)).astype(np.float32)


def logit_normal_times(rng: np.random.Generator, count: int, shift: float = 1.0) -> Floats:
    """Training times t = sigmoid(N(0, 1)), shifted; most weight where the direction is hardest to tell."""
    return shifted(1.0 / (1.0 + np.exp(-rng.standard_normal(count))), shift)


def euler_times(steps: int, shift: float = 1.0) -> Floats:
    """`steps` + 1 times from 1 to 0, shifted: exactly `steps` evaluations."""
    return shifted(np.linspace(1.0, 0.0, steps + 1), shift)


def skip(t: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the noisy tokens, and how much of the network's answer, make up the velocity at time t.

    For data of unit variance the first is the best linear guess of the velocity, and the second the spread of what it
    leaves open: near noise the network answers with the clip, near the clip with the noise, and never has to hand its
    input through. Karras et al. 2022, as it follows for straight lines.
    """
    spread = (1 - t) ** 2 + t**2
    return (2 * t - 1) / spread, spread**-0.5


def guided(conditional: Floats, unconditional: Floats, scale: float) -> Floats:
    """Classifier-free guidance on all channels: 1 is conditional, 0 unconditional."""
    return unconditional + np.float32(scale) * (conditional - unconditional)


def integrate(x: Floats, velocity: Callable[[Floats, float], Floats], steps: int, shift: float = 1.0) -> Floats:
    """Euler from noise to data. `velocity(x, t)` is d x / d t."""
    times = euler_times(steps, shift)
    for now, then in zip(times[:-1], times[1:], strict=True):
        x = x + (then - now) * velocity(x, float(now))
    return x
