"""Laws of the world on tracked objects.

Every law is the share of (object, frame) pairs that obey it. A missing object obeys none, so that neither a vanished object
nor a frame removed from a true clip raises the score of a law or makes it undefined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sora_eval.features.object_tracks import BlobTracks, Track
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.physics.collision import ENERGY, MOMENTUM, OVERLAP, REACH, collision
from sora_eval.metrics.physics.scene import Bools, Scene, TrackedObject, runs, scene_of

# Origin of the tolerances: `sora-eval run world --generator world` (oracle of the tracker) and `--generator vae` (of the VAE)
# stay inside them; see docs/reference_model.md.
FALL_TOLERANCE = 1.0  # px between a flight and its law
SIZE_TOLERANCE = 0.3  # of area, width and height
SUPPORT = (0.2, 2.5, 1.5)  # px per frame that count as rest, px above the floor that count as air, px below it as sunk
FLIGHTS = ("falls", "bounces")
LAWS = ("permanence", "continuity", "rigidity", "free_fall", "collision", "support")


class PhysicsLaws(ClipMetric):
    """Laws of the tracked objects that a prompt's facts name; each a share in [0, 1], higher is better.

    permanence: Jaccard index of the objects expected and seen, mean over frames. continuity: no step longer than the
    object's diameter. rigidity: area, width and height within 30 % of one frame's. free_fall: in flight, within 1 px of
    y0 + v0 t + g t^2 / 2 with the world's g. collision: no change of momentum without a cause, no gain of energy (restitution
    <= 1), no overlap. support: with gravity, frames in which an object neither sinks into the floor nor rests on air. The
    detail of a score holds the broken frames, also by object, and the measures: g (px/frame^2), residual (px), contacts.
    """

    outputs = tuple(Output(f"physics_laws.{law}", "share", True, "0 to 1", (0.0, 1.0)) for law in LAWS)
    extractor = BlobTracks()
    signature = (
        f"physics_laws-2|{BlobTracks.signature}|fall:{FALL_TOLERANCE:g}px|size:{SIZE_TOLERANCE:g}|support:{SUPPORT}"
        f"|collision:{REACH}f-{MOMENTUM:g}-{ENERGY}-{OVERLAP:g}"
    )

    def score(self, view: ClipView) -> Mapping[str, Score]:
        scene = scene_of(view, self.extractor)
        laws = {
            "permanence": permanence(scene),
            "continuity": continuity(scene),
            "rigidity": rigidity(scene),
            "free_fall": free_fall(scene),
            "collision": collision(scene),
            "support": support(scene),
        }
        return {f"physics_laws.{law}": laws[law] for law in LAWS}


def _share(obeys: Mapping[str, Bools], first_frame: int = 0, **measures: Any) -> Score:
    """Mean over objects of the share of frames that obey; broken frames of each and of all."""
    broken = {colour: [int(i) + first_frame for i in np.flatnonzero(~mask)] for colour, mask in obeys.items()}
    frames = sorted({i for each in broken.values() for i in each})
    value = float(np.mean([mask.mean() for mask in obeys.values()]))
    return Score(value, detail={"broken_frames": frames, "objects": broken, **measures})


def permanence(scene: Scene) -> Score:
    """Jaccard index of objects expected and seen, mean over frames.

    Another colour, or a second blob of an expected one, counts as an unexpected object. An occluder explains a gap between
    two sightings, and an object in two parts.
    """
    present = np.zeros((len(scene.objects), scene.num_frames), bool)
    for mask, tracked in zip(present, scene.objects, strict=True):
        mask[:] = tracked.track.seen
        if scene.occluder and mask.any():
            places = np.flatnonzero(mask)
            mask[places[0] : places[-1] + 1] = True
    blobs = np.zeros(scene.num_frames)
    for track in scene.seen:
        blobs += track.seen if scene.occluder else track.blobs
    visible = np.sum([t.track.seen for t in scene.objects], axis=0)
    index = present.sum(0) / (len(scene.objects) + np.maximum(blobs - visible, 0))
    objects = {t.colour: [int(i) for i in np.flatnonzero(~m)] for t, m in zip(scene.objects, present, strict=True)}
    broken = [int(i) for i in np.flatnonzero(index < 1)]
    return Score(float(index.mean()), detail={"broken_frames": broken, "objects": objects})


def continuity(scene: Scene) -> Score:
    """Share of the T - 1 steps in which the object is seen at both ends and moves by at most its diameter."""
    if scene.num_frames < 2:
        return _share({t.colour: t.track.seen for t in scene.objects})
    steps = {t.colour: np.linalg.norm(np.diff(t.track.position, axis=0), axis=1) <= t.diameter for t in scene.objects}
    return _share(steps, 1)  # a NaN step is not <=


def rigidity(scene: Scene) -> Score:
    """Share of the frames in which the object has the area, width and height of a reference frame, within 30 %.

    The reference is the frame that most other frames agree with.
    """
    return _share({t.colour: _alike(t.track) for t in scene.objects})


def _alike(track: Track) -> Bools:
    sizes = np.column_stack([track.area, track.box])  # (T, 3)
    agree = np.all(np.abs(sizes[None] - sizes[:, None]) <= SIZE_TOLERANCE * sizes[:, None], axis=2)  # (T references, T)
    return np.asarray(agree[int(agree.sum(1).argmax())], bool)


def free_fall(scene: Scene) -> Score:
    """Share of the frames of the first flight that lie within 1 px of y0 + v0 t + g t^2 / 2.

    y0 is measured at the first frame, v0 and g are facts. The flight ends where the law reaches the floor, so an object that
    hangs in the air breaks the law for that time. After its first contact with another object it only has to be visible.
    """
    flying = [t for t in scene.objects if t.motion in FLIGHTS]
    if not flying:
        return Score(None, "nothing falls in this prompt")
    flights = {t.colour: _flight(t, scene) for t in flying}
    measures: dict[str, Any] = {}
    for key in ("fitted_g", "residual_px"):
        values = [fit[key] for _, fit in flights.values() if key in fit]
        if values:
            measures[key] = round(float(np.mean(values)), 4)
    return _share({colour: mask for colour, (mask, _) in flights.items()}, **measures)


def _flight(tracked: TrackedObject, scene: Scene) -> tuple[Bools, dict[str, float]]:
    track = tracked.track
    if not track.seen[0]:
        return np.zeros(scene.num_frames, bool), {}
    time = np.arange(scene.num_frames, dtype=float)
    y = track.position[:, 1]
    law = y[0] + tracked.velocity[1] * time + 0.5 * scene.gravity * time**2
    landings = np.flatnonzero((law > scene.floor_y - tracked.reach_down) & (time > 0))
    flight = max(int(landings[0]) if len(landings) else scene.num_frames, 2)
    contacts = np.flatnonzero(scene.touching[tracked.colour][:flight])
    alone = int(contacts[0]) if len(contacts) else flight
    residual = np.abs(y - law)[:flight]
    obeys = (residual <= FALL_TOLERANCE) | (track.seen[:flight] & (time[:flight] >= alone))
    there = np.flatnonzero(np.isfinite(residual[:alone]))
    measures = {"residual_px": float(np.sqrt(np.square(residual[there]).mean()))} if len(there) else {}
    if len(there) >= 4:
        measures["fitted_g"] = float(2 * np.polyfit(time[there], y[there], 2)[0])
    return obeys, measures


def support(scene: Scene) -> Score:
    """Share of the frames in which the object is seen, is not below the floor, and does not rest on air.

    It rests while it moves by less than 0.2 px per frame for three steps or more; on air, if its lower edge is more than
    2.5 px above the floor and it touches no other object.
    """
    if not scene.gravity:
        return Score(None, "nothing has weight in this prompt")
    if scene.device:
        return Score(None, f"a {scene.device} holds the object in this prompt")
    return _share({t.colour: _supported(t, scene) for t in scene.objects})


def _supported(tracked: TrackedObject, scene: Scene) -> Bools:
    track = tracked.track
    bottom = track.high[:, 1]
    # An unseen step does not count as motion: removing frames does not end a rest.
    slow = ~(np.abs(np.diff(track.position, axis=0)).max(1) >= SUPPORT[0])  # (T - 1,)
    rests = np.zeros(scene.num_frames, bool)
    for start, end in runs(slow):
        if end - start >= 3:
            rests[start : end + 1] = True
    on_air = rests & (bottom < scene.floor_y - SUPPORT[1]) & ~scene.touching[tracked.colour]
    return track.seen & ~(bottom > scene.floor_y + SUPPORT[2]) & ~on_air
