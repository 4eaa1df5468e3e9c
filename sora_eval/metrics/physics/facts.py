"""Tracked objects against the prompt's facts: count, colour, shape, motion and velocity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sora_eval.features.object_tracks import BlobTracks, Track
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.physics.scene import Bools, Floats, Scene, TrackedObject, scene_of

# Fill of the bounding box by a square, a circle and a triangle is 1, 0.785 and 0.5; the borders lie halfway.
FILL_BORDERS = ((0.89, "square"), (0.64, "circle"), (0.0, "triangle"))
STILL = 1.5  # px
WATCHED = 8  # frames
GAIN = 0.1  # px/frame^2; the world's g is 0.3
RISE = 3  # frames after landing in which what bounces has risen by `STILL`
UNDECIDED = "falls or bounces"
UNIFORM = ("moves", "slides", "floats", "rests")


class ObjectFacts(ClipMetric):
    """Tracked objects against the prompt's facts.

    count: 1 if the number of objects seen (median over frames) is that of the prompt. colour, shape: share of the prompt's
    objects that are seen, and seen with their shape, in at least half of the frames. motion: share of them that are seen
    and move as stated: still, left, right, up, down, falls or bounces (`motion_of`); those that touch another from the
    start do not count. velocity_error: px per frame between measured and stated velocity, of objects that move uniformly,
    up to their first contact; a frame in which an object is missing adds its diameter to the mean over frames.
    """

    outputs = (
        Output("object_facts.count", "share", True, "0 or 1", (0.0, 1.0)),
        Output("object_facts.colour", "share", True, "0 to 1", (0.0, 1.0)),
        Output("object_facts.shape", "share", True, "0 to 1", (0.0, 1.0)),
        Output("object_facts.motion", "share", True, "0 to 1", (0.0, 1.0)),
        Output("object_facts.velocity_error", "px/frame", False, ">= 0"),
    )
    extractor = BlobTracks()
    signature = f"object_facts-2|{BlobTracks.signature}|motion:{STILL:g}px-{WATCHED}f-{GAIN:g}-{RISE}f|missing:diameter"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        scene = scene_of(view, self.extractor)
        expected = len(scene.objects)
        blobs = float(np.median(np.sum([t.blobs for t in scene.seen], axis=0))) if scene.seen else 0.0
        present = [_half(t.track.seen) for t in scene.objects]
        shaped = [_half(shapes_of(t.track) == t.shape) for t in scene.objects]
        return {
            "object_facts.count": Score(float(blobs == expected), detail={"seen": blobs, "asked": expected}),
            "object_facts.colour": Score(float(np.mean(present))),
            "object_facts.shape": Score(float(np.mean(shaped))),
            "object_facts.motion": _motion_score(scene),
            "object_facts.velocity_error": _velocity_score(scene),
        }


def _half(frames: Bools) -> bool:
    return bool(2 * frames.sum() >= len(frames))


def shapes_of(track: Track) -> np.ndarray:
    """Square, circle or triangle in each frame (T,), by the share of its bounding box that the object fills; "" if unseen."""
    fill = track.area / (track.box[:, 0] * track.box[:, 1])
    return np.select([fill >= border for border, _ in FILL_BORDERS], [name for _, name in FILL_BORDERS], "")


def _motion_score(scene: Scene) -> Score:
    """Missing objects count as wrong; those that touch another from the start do not count."""
    motions = {t.colour: motion_of(t, scene) if _half(t.track.seen) else "missing" for t in scene.objects}
    observed = [(t, m) for t in scene.objects if (m := motions[t.colour]) is not None]
    matches = [_expected_motion(t) in m.split(" or ") for t, m in observed]
    if not matches:
        return Score(None, "every object touches another before its motion can be determined")
    return Score(float(np.mean(matches)), detail={"seen": motions})


def _expected_motion(tracked: TrackedObject) -> str:
    return {"floats": "still", "rests": "still"}.get(tracked.motion, tracked.direction or tracked.motion)


def motion_of(tracked: TrackedObject, scene: Scene) -> str | None:
    """The motion of an object up to its first contact with another: still, left, right, up, down, falls or bounces.

    Still stays within 1.5 px. Up and down keep their speed; a fall accelerates by at least a third of the world's g from
    rest; a bounce falls and rises again by 1.5 px. A wall ends a uniform motion, which may turn there. "falls or bounces"
    where a contact or the end of the clip precedes a possible rise; either is correct then. None, undecidable, where it
    touches another object within the first `WATCHED` frames; "unseen" where it is missing in them.
    """
    track = tracked.track
    contacts = np.flatnonzero(scene.touching[tracked.colour])
    end = int(contacts[0]) if len(contacts) else scene.num_frames
    unknown = None if track.seen[:end].all() else "unseen"
    if end < min(WATCHED, scene.num_frames):
        return unknown
    x, y = track.position[:end].T
    if np.isfinite(x).sum() < 3:
        return "unseen"
    if np.nanmax(x) - np.nanmin(x) < STILL and np.nanmax(y) - np.nanmin(y) < STILL:
        return "still"
    return _way(track, scene, end)


def _way(track: Track, scene: Scene, end: int) -> str:
    """The motion of an object that moves, from its path up to the first wall."""
    offset = track.position[:end] - track.position[np.flatnonzero(track.seen)[0]]  # (T, 2)
    axis = int(np.nanmax(np.abs(offset[:, 1])) >= np.nanmax(np.abs(offset[:, 0])))
    walls = (track.low[:end, axis] <= 1.5) | (track.high[:end, axis] >= (scene.width, scene.height)[axis] - 3.5)
    walls[:2] = False
    way = offset[: max(int(np.argmax(walls)) + 1 if walls.any() else end, 3), axis]
    if not np.isfinite(way).any():
        return "unseen"
    forward = bool(np.nanmax(way) > -np.nanmin(way))
    if axis == 0:
        return "right" if forward else "left"
    return _downwards(way, track.position[:end, 1], whole=end == scene.num_frames) if forward else "up"


def _downwards(way: Floats, y: Floats, *, whole: bool) -> str:
    """Down, falls or bounces, by the path to the lowest place, where the floor stops it, and the heights after it."""
    down = way[: int(np.nanargmax(way)) + 1]
    real = np.isfinite(down)
    gain = 2 * np.polyfit(np.arange(len(down))[real], down[real], 2)[0] if real.sum() >= 3 else 0.0
    if gain < GAIN:
        return "down"
    lowest = int(np.flatnonzero(y >= np.nanmax(y) - 0.5)[0])
    if np.nanmax(y) - np.nanmin(y[lowest:]) >= STILL:
        return "bounces"
    return "falls" if whole and len(y) - lowest > RISE else UNDECIDED


def _velocity_score(scene: Scene) -> Score:
    uniform = [t for t in scene.objects if t.motion in UNIFORM]
    if not uniform:
        return Score(None, "nothing moves uniformly in this prompt")
    errors = [e for e in (velocity_error(t, scene) for t in uniform) if e is not None]
    missing = float(np.mean([t.diameter * (1 - t.track.seen.mean()) for t in scene.objects]))
    if not errors:
        return Score(None, "no uniformly moving object could be tracked over two frames without contact")
    return Score(float(np.mean(errors)) + missing, detail={"missing_px_per_frame": round(missing, 4)})


def velocity_error(tracked: TrackedObject, scene: Scene) -> float | None:
    """|measured - stated| velocity in px/frame, measured as the median step before the first contact or the wall ahead.

    An object that is missing there has velocity 0. None for one that touches another from the start.
    """
    track, stated = tracked.track, tracked.velocity
    end_mask = scene.touching[tracked.colour].copy()
    for axis, size in ((0, scene.width), (1, scene.height)):
        if stated[axis] > 0:
            end_mask |= track.high[:, axis] >= size - 1
        elif stated[axis] < 0:
            end_mask |= track.low[:, axis] <= 1
    end = int(np.argmax(end_mask)) if end_mask.any() else scene.num_frames
    if end < 2 and track.seen.all():
        return None
    steps = np.diff(track.position[:end], axis=0)
    steps = steps[np.isfinite(steps).all(1)]
    measured = np.median(steps, axis=0) if len(steps) else np.zeros(2)
    return float(np.linalg.norm(measured - stated))
