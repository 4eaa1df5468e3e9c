"""Constants of motion read back from the tracks of a clip: g, restitution, friction, drag and stiffness, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sora_eval.features.object_tracks import BlobTracks
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.physics import fits
from sora_eval.metrics.physics.fits import LEVEL, TRACKER, Fit, Floats
from sora_eval.metrics.physics.motion import LANDED, LEAST, SIDE, Motion, X, Y, impacts, motions
from sora_eval.metrics.physics.scene import Constants, Scene, scene_of

PATH = 3.0  # px that an object must move along an axis for its drag, friction or stiffness to show
STOPPED = 0.1  # px/frame; slower than that a sliding object counts as stopped
UNITS = {
    "gravity": "px/frame^2",
    "restitution": "1",
    "friction": "1",
    "drag": "1/frame",
    "stiffness": "1/frame^2",
}


class FittedParameters(ClipMetric):
    """Constants of motion fitted to the tracks of the prompt's objects, and how far each is from the world's.

    gravity (px/frame^2): of flights, of a slide down a ramp, of a pendulum. restitution: speed after over speed before an
    impact on floor or wall. friction: Coulomb's coefficient of a slide on the floor. drag (1/frame): of motion without a force.
    stiffness (1/frame^2): of a spring. Each `_error` is |fit - truth| in the same unit; where the prompt's facts state no
    truth, it has none. Every constant is fitted with the others at the world's values, over all objects and flights of the
    clip together. Frames that were given to the generator do not count. The detail of a score has the interval of 95 %, the
    standard error, the truth and the residual (px).
    """

    outputs = tuple(
        output
        for name, unit in UNITS.items()
        for output in (
            Output(f"fitted_parameters.{name}", unit, None, "any"),
            Output(f"fitted_parameters.{name}_error", unit, False, ">= 0"),
        )
    )
    extractor = BlobTracks()
    signature = (
        f"fitted_parameters|{BlobTracks.signature}|run:{LEAST}f|impact:{SIDE}f-{LANDED}f|path:{PATH:g}px|stopped:{STOPPED:g}"
        f"|scatter>={TRACKER:g}px|level:{LEVEL:g}"
    )

    def score(self, view: ClipView) -> Mapping[str, Score]:
        scene = scene_of(view, self.extractor)
        given = 0 if view.given is None else len(view.given)
        out = {}
        for name, fitted in parameters(scene, given).items():
            out[f"fitted_parameters.{name}"], out[f"fitted_parameters.{name}_error"] = _scores(fitted, scene.truth(name))
        return out


@dataclass(frozen=True)
class Fitted:
    """A fit, or the reason why there is none."""

    fit: Fit | None
    reason: str


def parameters(scene: Scene, given: int = 0) -> dict[str, Fitted]:
    """The constants that the tracks of a scene show in the frames from number `given` on, by name."""
    if scene.occluder:
        return dict.fromkeys(UNITS, Fitted(None, "a bar hides parts of objects, so their places are not known"))
    moving, constants = motions(scene, given), scene.constants or Constants(scene.gravity)
    return {
        "gravity": _gravity(scene, moving, constants),
        "restitution": _restitution(scene, moving, constants),
        "friction": _friction(scene, moving),
        "drag": _drag(scene, moving),
        "stiffness": _stiffness(scene, moving),
    }


def _scores(fitted: Fitted, truth: float | None) -> tuple[Score, Score]:
    fit = fitted.fit
    if fit is None:
        return Score(None, fitted.reason), Score(None, fitted.reason)
    low, high = fit.interval
    detail = {
        "interval": [round(low, 5), round(high, 5)],
        "standard_error": round(fit.error, 6),
        "residual_px": round(fit.residual, 4),
        "truth": truth,
    }
    if truth is None:
        return Score(fit.value, detail=detail), Score(None, "the prompt's facts do not state its true value", detail)
    return Score(fit.value, detail=detail), Score(abs(fit.value - truth), detail=detail)


def _found(fit: Fit | None) -> Fitted:
    return Fitted(fit, "" if fit else "too few frames, or they determine it in no way")


def _gravity(scene: Scene, moving: Sequence[Motion], constants: Constants) -> Fitted:
    if not scene.gravity:
        return Fitted(None, "nothing has weight in this prompt")
    if scene.device == "spring":
        return Fitted(None, "what hangs on a spring says nothing of g")
    if scene.device == "pendulum":
        return _of_pendulum(scene, moving[0], constants)
    axis, scale, what = Y, 1.0, "flight"
    if scene.device == "ramp":
        slope = np.radians(constants.angle)
        scale, what = float(np.sin(slope) - constants.friction * np.cos(slope)), "slide down the ramp"
        paths = [_along(m, span, float(slope)) for m in moving for span in _long(m.free(X))]
    else:
        paths = [m.path(span, axis) for m in moving for span in _long(m.free(Y))]
    if not paths:
        return Fitted(None, f"no {what} of {LEAST} frames without a contact")
    return _found(fits.acceleration(paths, constants.drag, scale))


def _long(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [span for span in spans if span[1] - span[0] >= LEAST]


def _along(motion: Motion, span: tuple[int, int], slope: float) -> tuple[Floats, Floats]:
    """The path downhill of an object on a ramp."""
    side = -1.0 if motion.tracked.direction == "left" else 1.0
    (time, x), (_, y) = motion.path(span, X), motion.path(span, Y)
    return time, side * np.cos(slope) * x + np.sin(slope) * y


def _of_pendulum(scene: Scene, motion: Motion, constants: Constants) -> Fitted:
    frames = np.flatnonzero(motion.there)
    if len(frames) < LEAST:
        return Fitted(None, f"the pendulum is seen in {len(frames)} frames; a fit needs {LEAST}")
    x, y = motion.tracked.track.position[frames].T
    angle = np.unwrap(np.arctan2(x - scene.width / 2, y))
    return _found(fits.pendulum(frames.astype(np.float64), angle, constants.length, constants.drag))


def _restitution(scene: Scene, moving: Sequence[Motion], constants: Constants) -> Fitted:
    if scene.device:
        return Fitted(None, f"a {scene.device} holds the object: it hits nothing")
    found: list[Fit] = []
    for m in moving:
        for impact in impacts(m, scene.gravity):
            if impact.axis == X and constants.friction and m.floor[slice(impact.before[0], impact.after[1])].any():
                continue  # its speed changes between the frames by itself
            fit = fits.restitution(
                m.path(impact.before, impact.axis),
                m.path(impact.after, impact.axis),
                constants.drag,
                forced=bool(impact.axis == Y and scene.gravity),
                resting=impact.resting,
            )
            found += [fit] if fit is not None else []
    if not found:
        return Fitted(None, f"no impact on floor or wall with {SIDE} frames before and after it")
    weights = np.array([1 / max(f.error, 1e-9) ** 2 for f in found])
    value = float(weights @ [f.value for f in found] / weights.sum())
    residual = float(np.sqrt(np.mean([f.residual**2 for f in found])))
    return Fitted(Fit(value, float(1 / np.sqrt(weights.sum())), sum(f.freedom for f in found), residual), "")


def _friction(scene: Scene, moving: Sequence[Motion]) -> Fitted:
    if not scene.gravity or scene.device:
        return Fitted(None, "nothing slides on a floor in this prompt")
    paths = []
    for m in moving:
        for start, end in m.sliding():
            time, x = m.path((start, end), X)
            way = np.sign(x[-1] - x[0])
            slow = np.flatnonzero(way * np.diff(x) < STOPPED)
            stop = int(slow[0]) + 1 if len(slow) else len(x)
            if stop >= LEAST and abs(x[stop - 1] - x[0]) >= PATH:
                paths.append((time[:stop], -way * x[:stop]))
    if not paths:
        return Fitted(None, f"no object slides over {PATH:g} px of floor in {LEAST} frames without a contact")
    return _found(fits.acceleration(paths, 0.0, scene.gravity))


def _drag(scene: Scene, moving: Sequence[Motion]) -> Fitted:
    if scene.device:
        return Fitted(None, f"a {scene.device} pushes the object all the time")
    axes = (X,) if scene.gravity else (X, Y)
    paths = [m.path(span, axis) for m in moving for axis in axes for span in _long(m.free(axis))]
    paths = [(t, x) for t, x in paths if np.ptp(x) >= PATH]
    if not paths:
        return Fitted(None, f"no object moves over {PATH:g} px in {LEAST} frames without a force or a contact")
    return _found(fits.drag_of(paths))


def _stiffness(scene: Scene, moving: Sequence[Motion]) -> Fitted:
    if scene.device != "spring":
        return Fitted(None, "nothing hangs on a spring in this prompt")
    frames = np.flatnonzero(moving[0].there)
    y = moving[0].tracked.track.position[frames, Y]
    if len(frames) < LEAST + 1 or np.ptp(y) < PATH:
        return Fitted(
            None, f"the spring moves its object by less than {PATH:g} px, or it is seen in fewer than {LEAST + 1} frames"
        )
    return _found(fits.stiffness(frames.astype(np.float64), y))
