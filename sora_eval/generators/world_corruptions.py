"""The world rendered with another truth: objects that vanish, jump, fall too slowly or sink. An adapter of the reference
model, as `generators.reference` is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from reference_model.world import Facts, Frames, Scene, Trajectory, WorldClip, make_clip, render
from reference_model.world.scene import extents
from sora_eval.util.errors import Undefined
from sora_eval.video.corruptions import JUMPS

Positions = npt.NDArray[np.float64]  # (T, N, 2), centroids in px

SINKING = 2.0  # px per frame at full strength; a fall through 32 px ends at 3 px per frame
NOWHERE = -1000.0  # px; outside every frame


def damaged_frames(
    facts: Facts,
    height: int,
    width: int,
    num_frames: int,
    scene_seed: list[int],
    name: str,
    strength: float,
    rng: np.random.Generator,
) -> Frames:
    """Frames (T, H, W, 3) of `facts` and `scene_seed` with a scene corruption. Raises Undefined where it does not apply."""
    clip = make_clip(facts, height, width, num_frames, np.random.default_rng(scene_seed))
    positions = _DAMAGES[name](clip, strength, rng)
    return render(clip.scene, positions)[0] if strength else clip.frames


def vanish(clip: WorldClip, strength: float, rng: np.random.Generator) -> Positions:
    """One object is missing from the last share `strength` of the frames; at full strength from all."""
    positions = clip.trajectory.positions.copy()
    missing = round(strength * len(positions))
    positions[len(positions) - missing :, rng.integers(positions.shape[1])] = NOWHERE
    return positions


def appear(clip: WorldClip, strength: float, rng: np.random.Generator) -> Positions:
    """One object, that of `vanish`, is missing from the first share `strength` of the frames."""
    positions = clip.trajectory.positions.copy()
    positions[: round(strength * len(positions)), rng.integers(positions.shape[1])] = NOWHERE
    return positions


def energy_gained(clip: WorldClip, strength: float, rng: np.random.Generator) -> Positions:
    """An object leaves the floor with 1 + `strength` times the energy of the lawful bounce: after it, heights are as many times
    larger and times their root, as under the same gravity. Raises Undefined without a bounce, and where it would leave the
    picture."""
    facts, positions = clip.scene.facts, clip.trajectory.positions.copy()
    bouncing = {i: f for i, f in _landings(clip.scene, clip.trajectory).items() if facts.objects[i].motion == "bounces"}
    if not bouncing or any(e.kind == "collision" for e in clip.trajectory.events):
        raise Undefined("nothing bounces by itself in this scene")
    gain = 1 + strength
    for i, frame in bouncing.items():
        path = clip.trajectory.positions[frame:, i, 1]
        since = np.arange(len(path), dtype=np.float64)
        heights = path[0] - np.interp(since / np.sqrt(gain), since, path)
        positions[frame:, i, 1] = path[0] - gain * heights
    half = max(extents(o)[0] for o in facts.objects)
    if positions[:, list(bouncing), 1].min() < half:
        raise Undefined("with more energy the object leaves the picture")
    return positions


def teleport(clip: WorldClip, strength: float, rng: np.random.Generator) -> Positions:
    """One object jumps sideways, by about half of its room, round(5 `strength`) times."""
    positions = clip.trajectory.positions.copy()
    frames, objects, _ = positions.shape
    target = int(rng.integers(objects))
    half, _, _ = extents(clip.scene.facts.objects[target])
    low, high = half + 0.5, clip.scene.width - half - 0.5
    moments = np.sort((1 + rng.permutation(frames - 1)[:JUMPS])[: round(strength * JUMPS)])
    x, offset = clip.trajectory.positions[:, target, 0], 0.0
    for moment in moments:
        away = (high - low) * 0.55
        offset = 0.0 if offset else (away if x[moment] < (low + high) / 2 else -away)
        positions[moment:, target, 0] = np.clip(x[moment:] + offset, low, high)
    return positions


def weaker_gravity(clip: WorldClip, strength: float, rng: np.random.Generator) -> Positions:
    """Falls under (1 - `strength`) g. An object that starts at rest and meets only the floor follows the same path, with its
    bounces, sqrt(1 - strength) times as fast. Raises Undefined without a fall or with a collision."""
    facts = clip.scene.facts
    falling = [i for i, o in enumerate(facts.objects) if o.motion in ("falls", "bounces")]
    if not falling:
        raise Undefined("nothing falls in this scene")
    if any(e.kind == "collision" for e in clip.trajectory.events):
        raise Undefined("objects of this scene collide")
    positions = clip.trajectory.positions.copy()
    time = np.arange(len(positions), dtype=np.float64)
    for i in falling:
        positions[:, i, 1] = np.interp(time * np.sqrt(1 - strength), time, clip.trajectory.positions[:, i, 1])
    return positions


def sink(clip: WorldClip, strength: float, rng: np.random.Generator) -> Positions:
    """Objects that touch the floor sink through it from then on, at `strength` * 2 px per frame. Raises Undefined without."""
    landings = _landings(clip.scene, clip.trajectory)
    if not landings:
        raise Undefined("nothing touches a floor in this scene")
    positions = clip.trajectory.positions.copy()
    for i, frame in landings.items():
        since = np.arange(len(positions) - frame)
        positions[frame:, i, 1] = positions[frame, i, 1] + strength * SINKING * since
    return positions


def _landings(scene: Scene, trajectory: Trajectory) -> dict[int, int]:
    """Object to the frame of its first contact with the floor, where time is left after it."""
    frames = {e.objects[0]: e.frame for e in trajectory.events if e.kind == "floor"}
    return {i: f for i, f in frames.items() if f < len(trajectory.positions) - 2}


_DAMAGES: dict[str, Callable[[WorldClip, float, np.random.Generator], Positions]] = {
    "object_vanish": vanish,
    "object_appear": appear,
    "energy_gained": energy_gained,
    "teleport": teleport,
    "gravity_changed": weaker_gravity,
    "pass_through_floor": sink,
}
