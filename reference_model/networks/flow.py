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
    """The starting noise N(0, 1) of one clip; it depends on seed and shape alone, not on the other clips of a batch."""
    return np.random.default_rng([seed, 0x50FA]).standard_normal(shape, dtype=np.float32)


def shift_times(t: npt.NDArray[np.floating], shift: float) -> Floats:
    """Times moved towards noise: shift t / (1 + (shift - 1) t). Esser et al. 2024, section 5.3.2.

    Many tokens show one object, so its motion is decided while each token is almost noise: without shift a schedule of
    twenty steps spends one step there, and training about one clip in a thousand.

    >>> shift_times(np.array([0.0, 0.5, 1.0]), 3.0).tolist()
    [0.0, 0.75, 1.0]
    """
    return (shift * t / (1 + (shift - 1) * t)).astype(np.float32)


def logit_normal_times(rng: np.random.Generator, count: int, shift: float = 1.0) -> Floats:
    """Training times (count,), t = sigmoid(N(0, 1)), shifted; most weight where the velocity is hardest to predict."""
    return shift_times(1.0 / (1.0 + np.exp(-rng.standard_normal(count))), shift)


def euler_times(steps: int, shift: float = 1.0) -> Floats:
    """`steps` + 1 times from 1 to 0, shifted: exactly `steps` evaluations.

    >>> euler_times(2, shift=3.0).tolist()
    [1.0, 0.75, 0.0]
    """
    return shift_times(np.linspace(1.0, 0.0, steps + 1), shift)


def skip(t: Tensor) -> tuple[Tensor, Tensor]:
    """Factors (a, b) of the velocity a x + b f at time t, for noisy tokens x and the network's output f.

    a = (2t - 1) / s and b = s^-1/2 with s = (1 - t)^2 + t^2. For data of unit variance a x is the best linear estimate of
    the velocity and b the standard deviation of its error, so the network need not pass its input through. Karras et al.
    2022, applied to straight lines.
    """
    spread = (1 - t) ** 2 + t**2
    return (2 * t - 1) / spread, spread**-0.5


def guide(conditional: Floats, unconditional: Floats, scale: float) -> Floats:
    """Classifier-free guidance: u + scale (c - u); a scale of 1 is conditional, 0 unconditional.

    >>> guide(np.float32([2.0]), np.float32([1.0]), 3.0).tolist()
    [4.0]
    """
    return unconditional + np.float32(scale) * (conditional - unconditional)


def integrate(x: Floats, velocity: Callable[[Floats, float], Floats], steps: int, shift: float = 1.0) -> Floats:
    """Euler's method from noise (t = 1) to data (t = 0). `velocity(x, t)` is dx/dt, of the shape of x.

    >>> integrate(np.float32([3.0]), lambda x, t: np.float32([1.0]), steps=4).tolist()
    [2.0]
    """
    times = euler_times(steps, shift)
    for now, then in zip(times[:-1], times[1:], strict=True):
        x = x + (then - now) * velocity(x, float(now))
    return x
