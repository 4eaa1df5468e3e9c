"""Constants of motion by least squares on positions over time, each with its interval.

Positions are px, times frames. The law that is fitted is linear drag under a constant acceleration, dv/dt = a - k v, whose
solution from the place x0 with the velocity v0 is x0 + v0 first(t) + a second(t). An interval is Student's, from the scatter of
the residuals and the local Jacobian; a scatter below that of the tracker itself is taken as the tracker's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

LEVEL = 0.95
# px; the scatter of places around the truth in nine of ten rendered clips, whose grey levels are rounded:
# `pytest tests/sora_eval/metrics/test_fitted_parameters.py -k scatter`.
TRACKER = 0.01
STEPS = 16  # Runge-Kutta steps per frame

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A constant with its standard error, the degrees of freedom of the scatter, and the root mean square of the residuals
    (px)."""

    value: float
    error: float
    freedom: int
    residual: float

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval of `LEVEL`."""
        reach = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach


def first(time: Floats, drag: float) -> Floats:
    """Path per unit of initial velocity, (1 - exp(-k t)) / k; t without drag. Also for t below 0.

    >>> first(np.array([-1.0, 0.0, 2.0]), 0.0).tolist()
    [-1.0, 0.0, 2.0]
    """
    return time if abs(drag) < 1e-9 else -np.expm1(-drag * time) / drag


def second(time: Floats, drag: float) -> Floats:
    """Path per unit of acceleration, (t - first(t)) / k; t^2 / 2 without drag.

    >>> second(np.array([0.0, 2.0]), 0.0).tolist(), round(float(second(np.array([2.0]), 1e-4)[0]), 3)
    ([0.0, 2.0], 2.0)
    """
    if abs(drag) < 1e-4:  # the difference loses digits: two terms of its series
        return time**2 / 2 - drag * time**3 / 6
    return (time - first(time, drag)) / drag


def acceleration(runs: Sequence[tuple[Floats, Floats]], drag: float, scale: float = 1.0) -> Fit | None:
    """The acceleration, divided by `scale`, that several runs (times (n,), positions (n,)) share, each with a place and a
    velocity of its own; None where fewer than two points are left over."""
    rows = sum(len(t) for t, _ in runs)
    design = np.zeros((rows, 2 * len(runs) + 1))
    row = 0
    for i, (time, _) in enumerate(runs):
        t, part = time - time.mean(), slice(row, row + len(time))
        design[part, 2 * i], design[part, 2 * i + 1], design[part, -1] = 1.0, first(t, drag), scale * second(t, drag)
        row += len(time)
    if rows - design.shape[1] < 2:
        return None
    y = np.concatenate([x for _, x in runs])
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    return _fit(float(solution[-1]), design, y - design @ solution, -1)


def drag_of(runs: Sequence[tuple[Floats, Floats]]) -> Fit | None:
    """The drag (1/frame) that several runs without a force share; None where fewer than two points are left over."""
    rows = sum(len(t) for t, _ in runs)
    if rows - 2 * len(runs) - 1 < 2:
        return None

    def model(p: Floats) -> Floats:
        off = [p[1 + 2 * i] + p[2 + 2 * i] * first(t - t[0], float(p[0])) - x for i, (t, x) in enumerate(runs)]
        return np.asarray(np.concatenate(off), np.float64)

    start = np.array([0.0, *(v for t, x in runs for v in (x[0], (x[1] - x[0]) / (t[1] - t[0])))])
    return _nonlinear(model, start, bounds=_within(start, 0, -1.0, 3.0))


def restitution(
    before: tuple[Floats, Floats], after: tuple[Floats, Floats], drag: float, *, forced: bool, resting: bool
) -> Fit | None:
    """Speed after over speed before an impact, from the runs around it.

    Both share the place of the impact, between the last time before and the first after it, and, where the axis is `forced`,
    the acceleration; `resting` things are carried after it. None where fewer than two points are left over, or where the
    speed before is not towards the impact.
    """
    (t0, x0), (t1, x1) = before, after
    if len(t0) + len(t1) - (5 if forced else 4) < 2 or min(len(t0), len(t1)) < 2:
        return None
    speed, slope = (x0[-1] - x0[-2]) / (t0[-1] - t0[-2]), (x1[1] - x1[0]) / (t1[1] - t1[0])
    if abs(speed) < 1e-6:
        return None
    middle, half = (t0[-1] + t1[0]) / 2, (t1[0] - t0[-1]) / 2

    def model(p: Floats) -> Floats:
        place, v, e, moment = p[:4]
        a = float(p[4]) if forced else 0.0
        ahead, behind = t0 - moment, t1 - moment
        come = place + v * first(ahead, drag) + a * second(ahead, drag)
        go = place - e * v * first(behind, drag) + (0.0 if resting else a) * second(behind, drag)
        return np.concatenate([come - x0, go - x1])

    start = np.array([x0[-1] + speed * half, speed, -slope / speed, middle, *([0.0] if forced else [])])
    return _nonlinear(model, start, 2, _within(start, 3, float(t0[-1]), float(t1[0])))


def stiffness(time: Floats, x: Floats) -> Fit | None:
    """The square of the angular frequency (1/frame^2) of a harmonic motion around an unknown place; None for fewer than six
    points."""
    if len(time) < 6:
        return None
    t = time - time[0]

    def basis(kappa: float) -> Floats:
        angle = np.sqrt(kappa) * t
        return np.stack([np.ones_like(t), np.cos(angle), np.sin(angle)], 1)

    def misfit(kappa: float) -> float:
        design = basis(kappa)
        return float(np.square(x - design @ np.linalg.lstsq(design, x, rcond=None)[0]).sum())

    # The misfit has several valleys; the lowest of a grid is the start. Beyond pi per frame a frequency cannot be seen.
    grid = np.geomspace(0.003, 2.0, 60)
    best = float(grid[int(np.argmin([misfit(k) for k in grid]))])
    start = np.array([best, *np.linalg.lstsq(basis(best), x, rcond=None)[0]])
    return _nonlinear(lambda p: basis(max(float(p[0]), 1e-6)) @ p[1:] - x, start)


def pendulum(time: Floats, angle: Floats, length: float, drag: float) -> Fit | None:
    """g (px/frame^2) of a pendulum of a known `length` (px), from its angles from the vertical (rad); None for fewer than five
    points. The equation of motion, L phi'' = -g sin phi - k L phi', is integrated."""
    if len(time) < 5:
        return None
    frames = time - time[0]

    def model(p: Floats) -> Floats:
        return length * (_swing(frames, float(p[0]), float(p[1]), float(p[2]) / length, drag) - angle)

    speed = (angle[1] - angle[0]) / (frames[1] - frames[0])
    start = np.array([angle[0], speed, 0.3])
    return _nonlinear(model, start, 2, _within(start, 2, -10.0, 10.0))


def _swing(frames: Floats, angle: float, speed: float, rate: float, drag: float) -> Floats:
    """Angles at `frames` (whole numbers from 0 on), by Runge and Kutta's fourth order."""
    step, out = 1.0 / STEPS, np.empty(int(frames[-1]) + 1)
    state = np.array([angle, speed])

    def change(s: Floats) -> Floats:
        return np.array([s[1], -rate * np.sin(s[0]) - drag * s[1]])

    for frame in range(len(out)):
        out[frame] = state[0]
        for _ in range(STEPS):
            a = change(state)
            b = change(state + step / 2 * a)
            c = change(state + step / 2 * b)
            state = state + step / 6 * (a + 2 * b + 2 * c + change(state + step * c))
    return out[frames.astype(np.int64)]


def _within(start: Floats, of: int, least: float, most: float) -> tuple[Floats, Floats]:
    """Bounds of the parameters of a search, of which one is bounded."""
    low, high = np.full(len(start), -np.inf), np.full(len(start), np.inf)
    low[of], high[of] = least, most
    return low, high


def _nonlinear(
    model: Callable[[Floats], Floats], start: Floats, of: int = 0, bounds: tuple[Floats, Floats] | None = None
) -> Fit | None:
    """The fit of parameter `of` of residuals (n,); None where the search ends nowhere, or nothing determines it."""
    low, high = bounds or (-np.inf, np.inf)
    found = optimize.least_squares(model, np.clip(start, low, high), bounds=(low, high), x_scale="jac")
    if not found.success or not np.isfinite(found.x).all():
        return None
    return _fit(float(found.x[of]), np.asarray(found.jac, np.float64), found.fun, of)


def _fit(value: float, jacobian: Floats, residuals: Floats, of: int) -> Fit | None:
    freedom = len(residuals) - jacobian.shape[1]
    information = jacobian.T @ jacobian
    if not np.isfinite(information).all() or np.linalg.cond(information) > 1e14:
        return None
    scatter = max(float(residuals @ residuals) / freedom, TRACKER**2)
    variance = scatter * float(np.linalg.inv(information)[of, of])
    return Fit(value, float(np.sqrt(max(variance, 0.0))), freedom, float(np.sqrt(np.square(residuals).mean())))
