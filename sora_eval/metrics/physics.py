"""Do tracked objects obey the laws of their world, and are they what the prompt asked for?

Every law is a share of (object, frame) pairs that obey it. A missing object obeys none: vanishing is never free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.features.base import ClipView, Undefined
from sora_eval.features.tracks import BlobTracks, Track, tracks
from sora_eval.metrics.base import ClipMetric, Output, Score

# Origin of the tolerances: `sora-eval run world --generator world` (tracker floor) and `--generator vae` (VAE floor)
# stay inside them; see docs/reference_model.md.
FALL_TOLERANCE = 1.0  # px between a flight and its law
AREA_TOLERANCE = 0.3  # of the median area
# Fill of the bounding box by a square, a circle and a triangle is 1, 0.785 and 0.5; the borders lie halfway.
FILL_BORDERS = ((0.89, "square"), (0.64, "circle"), (0.0, "triangle"))
SUPPORT = (0.2, 2.5, 1.5)  # px a frame that count as rest, px above the floor that count as air, px below it as sunk
STILL = 1.5  # px
WATCHED = 8  # frames
GAIN = 0.1  # px/frame^2; the world's g is 0.3
FLIGHTS = ("falls", "bounces")
UNIFORM = ("moves", "slides", "floats", "rests")

Floats = npt.NDArray[np.float64]


def _objects(view: ClipView) -> list[dict[str, Any]]:
    facts = view.case.prompt.facts
    if not facts or not facts.get("objects"):
        raise Undefined("the prompt has no facts; laws of tracked objects need to know what should be there")
    objects: list[dict[str, Any]] = facts["objects"]
    needed = {"colour", "shape", "motion", "velocity", "radius"}
    lacking = sorted({k for o in objects for k in needed - set(o)} | ({"gravity", "floor"} - set(facts)))
    if lacking:
        raise Undefined(f"the prompt's facts lack {', '.join(lacking)}; docs/suites.md says what they hold")
    return objects


class PhysicsLaws(ClipMetric):
    """Laws of the tracked objects that a prompt's facts name; each a share in [0, 1], higher is better.

    permanence: Jaccard index of the objects expected and seen, mean over frames. continuity: no step longer than the
    object's diameter. rigidity: area within 30 % of its median. free_fall: in flight, within 1 px of
    y0 + v0 t + g t^2 / 2 with the world's g; the fitted g and the residual are in the score's detail. support:
    with gravity, frames in which an object neither sinks into the floor nor rests on air.
    """

    outputs = (
        Output("physics_laws.permanence", "share", True, "0 to 1"),
        Output("physics_laws.continuity", "share", True, "0 to 1"),
        Output("physics_laws.rigidity", "share", True, "0 to 1"),
        Output("physics_laws.free_fall", "share", True, "0 to 1"),
        Output("physics_laws.support", "share", True, "0 to 1"),
    )
    extractor = BlobTracks()
    signature = f"physics_laws|{BlobTracks.signature}|fall:{FALL_TOLERANCE:g}px|area:{AREA_TOLERANCE:g}|support:{SUPPORT}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        objects, facts = _objects(view), view.case.prompt.facts or {}
        seen = tracks(view.features(self.extractor))
        asked = [(o, seen.get(o["colour"])) for o in objects]
        laws = {
            "permanence": permanence(
                [t for _, t in asked], list(seen.values()), view.clip.num_frames, occluder=bool(facts.get("occluder"))
            ),
            "continuity": _mean([continuity(t, view.clip.num_frames) for _, t in asked]),
            "rigidity": _mean([rigidity(t, view.clip.num_frames) for _, t in asked]),
        }
        floor_y = view.clip.height - float(facts["floor"])
        falls = [
            free_fall(t, list(seen.values()), view.clip.num_frames, o, float(facts["gravity"]), floor_y)
            for o, t in asked
            if o["motion"] in FLIGHTS
        ]
        laws["free_fall"] = _mean(falls) if falls else Score(None, "nothing falls in this prompt")
        laws["support"] = Score(None, "nothing has weight in this prompt")
        if facts["gravity"]:
            laws["support"] = _mean([support(t, list(seen.values()), view.clip.num_frames, o, floor_y) for o, t in asked])
        return {f"physics_laws.{name}": score for name, score in laws.items()}


def _mean(scores: list[Score]) -> Score:
    """Mean over objects; details are merged, and lists of broken frames united."""
    detail: dict[str, Any] = {"broken_frames": sorted({f for s in scores for f in s.detail.get("broken_frames", [])})}
    for key in ("fitted_g", "residual_px"):
        values = [s.detail[key] for s in scores if s.detail.get(key) is not None]
        if values:
            detail[key] = round(float(np.mean(values)), 4)
    return Score(float(np.mean([s.value for s in scores])), detail=detail)


def _share(obeys: npt.NDArray[np.bool_], first_frame: int = 0, **detail: Any) -> Score:
    broken = [int(i) + first_frame for i in np.flatnonzero(~obeys)]
    return Score(float(obeys.mean()), detail={"broken_frames": broken, **detail})


def permanence(asked: list[Track | None], seen: list[Track], num_frames: int, *, occluder: bool = False) -> Score:
    """Jaccard index of objects expected and seen, mean over frames.

    Another colour, or a second blob of an expected one, counts as an object that should not be there. Behind an occluder
    a gap between two sightings is explained.
    """
    present = np.zeros(num_frames)
    for track in asked:
        if track is None:
            continue
        there = track.seen.copy()
        if occluder:
            places = np.flatnonzero(there)
            there[places[0] : places[-1] + 1] = True
        present += there
    blobs = np.sum([t.blobs for t in seen], axis=0) if seen else np.zeros(num_frames)
    visible = np.sum([t.seen for t in asked if t is not None], axis=0) if any(asked) else np.zeros(num_frames)
    index = present / (len(asked) + np.maximum(blobs - visible, 0))
    return Score(float(index.mean()), detail={"broken_frames": [int(i) for i in np.flatnonzero(index < 1)]})


def continuity(track: Track | None, num_frames: int) -> Score:
    """Share of the T - 1 steps in which the object is seen at both ends and moves by at most its diameter."""
    if num_frames < 2:
        return Score(1.0 if track is not None else 0.0)
    if track is None:
        return _share(np.zeros(num_frames - 1, bool), 1)
    diameter = 2 * np.sqrt(np.nanmedian(track.area) / np.pi)
    steps = np.linalg.norm(np.diff(track.position, axis=0), axis=1)
    return _share(steps <= diameter, 1)  # a NaN step is not <=


def rigidity(track: Track | None, num_frames: int) -> Score:
    """Share of the frames in which the object is seen with an area within 30 % of its median."""
    if track is None:
        return _share(np.zeros(num_frames, bool))
    median = np.nanmedian(track.area)
    return _share(np.abs(track.area - median) <= AREA_TOLERANCE * median)


def free_fall(
    track: Track | None, seen: list[Track], num_frames: int, facts: Mapping[str, Any], gravity: float, floor_y: float
) -> Score:
    """Share of the frames of the first flight that lie within 1 px of y0 + v0 t + g t^2 / 2.

    y0 is measured at the first frame, v0 and g are facts. The flight ends where the law meets the floor or at the first
    contact with another object, so one that hangs in the air breaks the law for as long as it should have been falling.
    """
    if track is None or not track.seen[0]:
        return _share(np.zeros(num_frames, bool))
    time = np.arange(num_frames, dtype=float)
    y = track.position[:, 1]
    law = y[0] + facts["velocity"][1] * time + 0.5 * gravity * time**2
    reach = {"circle": 1.0, "square": np.sqrt(np.pi) / 2, "triangle": 0.778}[facts["shape"]] * facts["radius"]
    landed = np.flatnonzero((law > floor_y - reach) & (time > 0))
    hit = np.flatnonzero(_touching(track, seen))
    end = min([num_frames, *landed[:1], *hit[:1]])
    flight = slice(0, max(int(end), 2))
    residual = np.abs(y - law)[flight]
    there = np.isfinite(residual)
    fitted = None
    if there.sum() >= 4:
        fitted = float(2 * np.polyfit(time[flight][there], y[flight][there], 2)[0])
    rms = float(np.sqrt(np.square(residual[there]).mean()))
    return _share(residual <= FALL_TOLERANCE, fitted_g=fitted, residual_px=rms)


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open intervals of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def support(track: Track | None, seen: list[Track], num_frames: int, facts: Mapping[str, Any], floor_y: float) -> Score:
    """Share of the frames in which the object is seen, is not below the floor, and does not rest on air.

    It rests where it stays within 0.2 px a frame for three steps; on air, where its lower edge is more than 2.5 px above the
    floor and it touches no other object.
    """
    if track is None:
        return _share(np.zeros(num_frames, bool))
    below = 1 / 3 if facts["shape"] == "triangle" else 1 / 2  # of the height, from the centroid down
    bottom = track.position[:, 1] + track.box[:, 1] * below
    slow = np.abs(np.diff(track.position, axis=0)).max(1) < SUPPORT[0]  # (T - 1,)
    rests = np.zeros(num_frames, bool)
    for start, end in _runs(slow):
        if end - start >= 3:
            rests[start : end + 1] = True
    on_air = rests & (bottom < floor_y - SUPPORT[1]) & ~_touching(track, seen)
    return _share(track.seen & ~(bottom > floor_y + SUPPORT[2]) & ~on_air)


class ObjectFacts(ClipMetric):
    """Tracked objects against the prompt's facts.

    count: 1 if as many objects are seen as asked for (median over frames). colour, shape: share of the objects asked
    for that are there in at least half of the frames, and of these with the shape asked for; a missing object has
    neither. motion: share of the objects asked for that are there and move in the way asked for: still, left, right,
    up, down, falls or bounces (`motion_of`); those that touch another at once do not count. velocity_error: px a frame
    between measured and stated velocity, of objects that move uniformly, up to their first contact; it is of found
    objects only, so read it beside `colour`.
    """

    outputs = (
        Output("object_facts.count", "share", True, "0 or 1"),
        Output("object_facts.colour", "share", True, "0 to 1"),
        Output("object_facts.shape", "share", True, "0 to 1"),
        Output("object_facts.motion", "share", True, "0 to 1"),
        Output("object_facts.velocity_error", "px/frame", False, ">= 0"),
    )
    extractor = BlobTracks()
    signature = f"object_facts|{BlobTracks.signature}|motion:{STILL:g}px-{WATCHED}f-{GAIN:g}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        objects = _objects(view)
        seen = tracks(view.features(self.extractor))
        frames = view.clip.num_frames
        blobs = float(np.median(np.sum([t.blobs for t in seen.values()], axis=0))) if seen else 0.0
        found = {c: t for c, t in seen.items() if t.seen.sum() * 2 >= frames}
        shapes = {c: shape_of(t) for c, t in found.items()}
        motions = {c: motion_of(t, list(seen.values()), view.clip.width, view.clip.height) for c, t in found.items()}
        errors = [
            velocity_error(o, found, view.clip.width, view.clip.height)
            for o in objects
            if o["motion"] in UNIFORM and o["colour"] in found
        ]
        measured = [e for e in errors if e is not None]
        if measured:
            velocity = Score(float(np.mean(measured)))
        elif not any(o["motion"] in UNIFORM for o in objects):
            velocity = Score(None, "nothing moves uniformly in this prompt")
        else:
            velocity = Score(None, "no uniformly moving object could be tracked over two frames without contact")
        return {
            "object_facts.count": Score(float(blobs == len(objects)), detail={"seen": blobs, "asked": len(objects)}),
            "object_facts.colour": Score(float(np.mean([o["colour"] in found for o in objects]))),
            "object_facts.shape": Score(float(np.mean([shapes.get(o["colour"]) == o["shape"] for o in objects]))),
            "object_facts.motion": _motion_score(objects, motions),
            "object_facts.velocity_error": velocity,
        }


def shape_of(track: Track) -> str:
    """Square, circle or triangle, by how much of its bounding box the object fills."""
    fill = float(np.nanmedian(track.area / (track.box[:, 0] * track.box[:, 1])))
    return next(name for border, name in FILL_BORDERS if fill >= border)


def _motion_score(objects: list[dict[str, Any]], motions: dict[str, str | None]) -> Score:
    """Missing objects count as wrong; those that touch another at once do not count."""
    right = [
        motions.get(o["colour"], "missing") == _motion_asked(o) for o in objects if motions.get(o["colour"], "") is not None
    ]
    if not right:
        return Score(None, "every object touches another before its motion can be told")
    return Score(float(np.mean(right)), detail={"seen": motions})


def _motion_asked(facts: Mapping[str, Any]) -> str:
    return {"floats": "still", "rests": "still"}.get(facts["motion"], facts.get("direction") or facts["motion"])


def motion_of(track: Track, seen: list[Track], width: int, height: int) -> str | None:
    """How an object moves up to its first contact with another: still, left, right, up, down, falls or bounces.

    Still stays within 1.5 px. Up and down keep their speed; what falls gains at least a third of the world's g from a
    start at rest; what bounces falls and rises again by 1.5 px. A wall ends a uniform motion: it may turn there. None if
    another object is touched before `WATCHED` frames are over, or in free fall: then nobody can tell.
    """
    touched = np.flatnonzero(_touching(track, seen))
    end = int(touched[0]) if len(touched) else len(track.seen)
    if end < min(WATCHED, len(track.seen)):
        return None
    x, y = track.position[:end].T
    if np.isfinite(x).sum() < 3:
        return "unseen"
    if np.nanmax(x) - np.nanmin(x) < STILL and np.nanmax(y) - np.nanmin(y) < STILL:
        return "still"
    moved = track.position[:end] - track.position[np.flatnonzero(np.isfinite(x))[0]]  # (T, 2)
    axis = int(np.nanmax(np.abs(moved[:, 1])) >= np.nanmax(np.abs(moved[:, 0])))
    low = track.position[:end, axis] - track.box[:end, axis] / 2
    walls = (low <= 1.5) | (low + track.box[:end, axis] >= (width, height)[axis] - 3.5)
    walls[:2] = False
    way = moved[: max(int(np.argmax(walls)) + 1 if walls.any() else end, 3), axis]
    forward = bool(np.nanmax(way) > -np.nanmin(way))
    if axis == 0:
        return "right" if forward else "left"
    return _downwards(way, y, whole=end == len(track.seen)) if forward else "up"


def _downwards(way: Floats, y: Floats, *, whole: bool) -> str | None:
    """Down, falls or bounces, by the path up to the floor and the heights after it."""
    real = np.isfinite(way)
    gain = 2 * np.polyfit(np.arange(len(way))[real], way[real], 2)[0] if real.sum() >= 3 else 0.0
    if gain < GAIN:
        return "down"
    lowest = int(np.nanargmax(y))
    if y[lowest] - np.nanmin(y[lowest:]) >= STILL:
        return "bounces"
    return "falls" if whole else None  # after a contact in the air: it might have bounced


def velocity_error(facts: Mapping[str, Any], found: Mapping[str, Track], width: int, height: int) -> float | None:
    """|measured - stated| velocity in px/frame, measured as the median step before the first contact; None with no step."""
    track = found[facts["colour"]]
    stated = np.array(facts["velocity"], float)
    low, high = track.position - track.box / 2, track.position + track.box / 2
    free = np.isfinite(track.position[:, 0]) & ~_touching(track, list(found.values()))
    for axis, size in ((0, width), (1, height)):
        if stated[axis] > 0:
            free &= high[:, axis] < size - 1
        elif stated[axis] < 0:
            free &= low[:, axis] > 1
    end = len(free) if free.all() else int(np.argmin(free))
    if end < 2:
        return None
    return float(np.linalg.norm(np.median(np.diff(track.position[:end], axis=0), axis=0) - stated))


def _touching(track: Track, seen: list[Track]) -> npt.NDArray[np.bool_]:
    """Frames (T,) in which the box of another object is less than a pixel away; an unseen one touches nothing."""
    low, high = track.position - track.box / 2, track.position + track.box / 2
    touching = np.zeros(len(track.position), bool)
    for other in seen:
        if other is not track:
            gap = np.maximum(other.position - other.box / 2 - high, low - other.position - other.box / 2).max(1)
            touching |= gap < 1
    return touching
