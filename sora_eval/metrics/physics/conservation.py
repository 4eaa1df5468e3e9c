"""Energy and momentum of a prompt's objects along the clip: curves, and the share of it in which both are conserved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sora_eval.features.object_tracks import BlobTracks
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.physics.collision import ENERGY, MOMENTUM
from sora_eval.metrics.physics.motion import motions
from sora_eval.metrics.physics.scene import Bools, Constants, Floats, Scene, TrackedObject, runs, scene_of

LEAST = 3  # steps of a stretch without a contact: its median is the value that others are held against


class Conservation(ClipMetric):
    """Whether the prompt's objects keep their energy and their momentum, as shares of the clip's steps; higher is better.

    Both are sums over the objects, per object, of the velocity of a step from frame to frame and of the heights at its ends; g,
    friction, drag and stiffness are the world's. Steps in which two of them touch, or a contact with wall or floor begins or
    ends, are left out. energy: between two contacts it stays within 0.3 px^2/frame^2 and 15 % of the largest kinetic energy of
    its median, and from one such stretch to the next it does not rise by more; under friction or drag it may fall. momentum:
    between contacts with walls and floor it stays within 0.3 px/frame of its median, less what gravity adds. A step in which an
    object is not seen obeys neither. The detail has the curves, relative to their first value, and the frames that break the
    law. Frames that were given to the generator do not count.
    """

    outputs = (
        Output("conservation.energy", "share", True, "0 to 1", (0.0, 1.0)),
        Output("conservation.momentum", "share", True, "0 to 1", (0.0, 1.0)),
    )
    extractor = BlobTracks()
    signature = f"conservation|{BlobTracks.signature}|energy:{ENERGY}|momentum:{MOMENTUM:g}|stretch:{LEAST}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        scene = scene_of(view, self.extractor)
        given = 0 if view.given is None else len(view.given)
        return {"conservation.energy": energy(scene, given), "conservation.momentum": momentum(scene, given)}


@dataclass(frozen=True)
class _Steps:
    """The T - 1 steps of a scene: velocities (T-1, N, 2), places at their middle (T-1, N, 2), whether all objects are `seen`,
    and whether a contact of any of them with `wall` or `floor` begins or ends there, or any two touch (`other`)."""

    velocity: Floats
    place: Floats
    seen: Bools
    wall: Bools
    floor: Bools
    other: Bools


def _steps(scene: Scene) -> _Steps:
    position = np.stack([t.track.position for t in scene.objects], 1)  # (T, N, 2)
    moving = motions(scene)
    wall, floor = (
        np.any([_changes(each) for each in ends], axis=0) for ends in zip(*((m.wall, m.floor) for m in moving), strict=True)
    )
    touch = np.any([scene.touching[t.colour] for t in scene.objects], axis=0)
    # A collision of outlines that are seen to a fraction of a pixel may be a step earlier or later than it looks.
    other = np.convolve(touch[1:] | touch[:-1], np.ones(3), "same") > 0
    seen = np.all([t.track.seen for t in scene.objects], axis=0)
    velocity, place = np.diff(position, axis=0), (position[1:] + position[:-1]) / 2
    return _Steps(velocity, place, seen[1:] & seen[:-1], wall, floor, other)


def _changes(contact: Bools) -> Bools:
    """Steps (T-1,) that touch a frame of a contact which begins or ends within a frame of them; a lasting contact is none."""
    padded = np.pad(contact, 1, mode="edge")
    lasting = padded[:-3] & padded[1:-2] & padded[2:-1] & padded[3:]
    out: Bools = (contact[1:] | contact[:-1]) & ~lasting
    return out


def energy(scene: Scene, given: int = 0) -> Score:
    """Share of the steps from frame `given` on in which the energy is conserved; see `Conservation`."""
    if reason := _not_covered(scene, given):
        return Score(None, reason)
    steps, constants = _steps(scene), scene.constants or Constants(scene.gravity)
    kinetic = np.square(steps.velocity).sum(2).mean(1) / 2  # (T-1,)
    curve = kinetic + _potential(scene, steps, constants)
    contact = np.zeros(len(curve), bool) if scene.device in ("pendulum", "spring") else steps.wall | steps.floor | steps.other
    measured = steps.seen & ~contact & _own(len(curve), given)
    if not (measured | (~steps.seen & _own(len(curve), given))).any():
        return Score(None, "a contact is beside every step")
    limit = ENERGY[0] + ENERGY[1] * float(kinetic[measured].max(initial=0.0))
    obeys, least = np.zeros(len(curve), bool), np.inf
    for start, end in runs(measured):
        part = slice(start, end)
        # A short stretch has no median of its own, and is held against what went before it.
        middle = float(np.median(curve[part])) if end - start >= LEAST else np.inf
        if constants.friction or constants.drag:
            obeys[part] = curve[part] <= np.minimum.accumulate(np.minimum(curve[part], least)) + limit
        else:
            inside = (np.abs(curve[part] - middle) <= limit) | ~np.isfinite(middle)
            obeys[part] = inside & (curve[part] <= least + limit)
        least = min(least, middle if np.isfinite(middle) else least)
    return _share(scene, "energy_px2_per_frame2", curve[:, None], ("energy",), obeys, measured, steps.seen, given)


def _potential(scene: Scene, steps: _Steps, constants: Constants) -> Floats:
    """Potential energy per object and unit of mass at the middle of each step (T-1,), px^2/frame^2; y points down."""
    if scene.device == "spring":  # with its weight: it hangs in the middle of its room at rest
        rest = (scene.floor_y + _reach_up(scene.objects[0]) - scene.objects[0].reach_down) / 2
        return np.asarray(constants.stiffness / 2 * np.square(steps.place[:, 0, 1] - rest), np.float64)
    return np.asarray(-scene.gravity * steps.place[:, :, 1].mean(1), np.float64)


def _reach_up(tracked: TrackedObject) -> float:
    return 2 * tracked.reach_down if tracked.shape == "triangle" else tracked.reach_down


def momentum(scene: Scene, given: int = 0) -> Score:
    """Share of the steps from frame `given` on in which the momentum is conserved; see `Conservation`."""
    if reason := _not_covered(scene, given):
        return Score(None, reason)
    constants = scene.constants or Constants(scene.gravity)
    if scene.device:
        return Score(None, f"a {scene.device} takes momentum and gives it")
    if constants.drag:
        return Score(None, "drag takes momentum")
    steps, moving = _steps(scene), motions(scene)
    on_floor = np.any([m.floor[1:] | m.floor[:-1] for m in moving], axis=0)
    by_wall = np.any([m.wall[1:] | m.wall[:-1] for m in moving], axis=0)
    curve = steps.velocity.mean(1)  # (T-1, 2), of the centre of mass
    curve[:, 1] -= scene.gravity * np.arange(len(curve))
    pushed = np.stack([by_wall | (on_floor & bool(constants.friction)), on_floor], 1)
    own = _own(len(curve), given)
    # A collision moves momentum from one to the other; only its frames are not measured.
    measured = (steps.seen & ~steps.other & own)[:, None] & ~pushed
    obeys = np.zeros_like(measured)
    for axis in (0, 1):
        for start, end in runs(own & ~pushed[:, axis]):
            part = slice(start, end)
            values = curve[part, axis][measured[part, axis]]
            if len(values):
                obeys[part, axis] = np.abs(curve[part, axis] - np.median(values)) <= MOMENTUM
    if not (measured.any() or (~steps.seen & own).any()):
        return Score(None, "a wall or the floor is beside every step")
    whole = measured.any(1)
    return _share(scene, "velocity_px_per_frame", curve, ("x", "y"), (obeys | ~measured).all(1), whole, steps.seen, given)


def _not_covered(scene: Scene, given: int) -> str:
    if scene.occluder:
        return "a bar hides parts of objects, so their places are not known"
    if scene.num_frames - given < 2:
        return f"{max(scene.num_frames - given, 0)} frames are the generator's own; a step needs 2"
    return ""


def _own(steps: int, given: int) -> Bools:
    """Steps that end in a frame of the generator's own; the first starts from the last frame that it was given."""
    out: Bools = np.arange(1, steps + 1) >= max(given, 1)
    return out


def _share(
    scene: Scene,
    key: str,
    curve: Floats,
    names: tuple[str, ...],
    obeys: Bools,
    measured: Bools,
    seen: Bools,
    given: int,
) -> Score:
    """The share of the measured and of the unseen steps that obey, with curves relative to their first measured value."""
    counted = (measured | ~seen) & _own(len(seen), given)
    good = obeys & measured
    places = np.flatnonzero(measured)
    curves = {name: _rounded(curve[places, i] - curve[places[0], i]) for i, name in enumerate(names)} if len(places) else {}
    broken = [int(i) + 1 for i in np.flatnonzero(counted & ~good)]
    detail = {"broken_frames": broken, "frames": [int(i) + 1 for i in places], key: curves}
    return Score(float(good[counted].mean()), detail=detail)


def _rounded(values: npt.ArrayLike) -> list[float]:
    return [round(float(v), 4) for v in np.asarray(values)]
