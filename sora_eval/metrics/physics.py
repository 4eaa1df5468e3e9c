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
FLIGHTS = ("falls", "bounces", "thrown")
UNIFORM = ("moves", "slides", "floats", "rests")

Floats = npt.NDArray[np.float64]


def _objects(view: ClipView) -> list[dict[str, Any]]:
    facts = view.case.prompt.facts
    if not facts or not facts.get("objects"):
        raise Undefined("the prompt has no facts; laws of tracked objects need to know what should be there")
    objects: list[dict[str, Any]] = facts["objects"]
    return objects


class PhysicsLaws(ClipMetric):
    """Laws of the tracked objects that a prompt's facts name; each a share in [0, 1], higher is better.

    permanence: Jaccard index of the objects expected and seen, mean over frames. continuity: no step longer than the
    object's diameter. rigidity: area within 30 % of its median. free_fall: in flight, within 1 px of
    y0 + v0 t + g t^2 / 2 with the world's g; the fitted g and the residual are in the score's detail.
    """

    outputs = (
        Output("physics_laws.permanence", "share", True, "0 to 1"),
        Output("physics_laws.continuity", "share", True, "0 to 1"),
        Output("physics_laws.rigidity", "share", True, "0 to 1"),
        Output("physics_laws.free_fall", "share", True, "0 to 1"),
    )
    extractor = BlobTracks()
    signature = f"physics_laws|{BlobTracks.signature}|fall:{FALL_TOLERANCE:g}px|area:{AREA_TOLERANCE:g}"

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


class ObjectFacts(ClipMetric):
    """Tracked objects against the prompt's facts.

    count: 1 if as many objects are seen as asked for (median over frames). colour, shape: share of the objects asked
    for that are there in at least half of the frames, and of these with the shape asked for; a missing object has
    neither. velocity_error: px a frame between measured and stated velocity, of objects that move uniformly, up to
    their first contact; it is of found objects only, so read it beside `colour`.
    """

    outputs = (
        Output("object_facts.count", "share", True, "0 or 1"),
        Output("object_facts.colour", "share", True, "0 to 1"),
        Output("object_facts.shape", "share", True, "0 to 1"),
        Output("object_facts.velocity_error", "px/frame", False, ">= 0"),
    )
    extractor = BlobTracks()
    signature = f"object_facts|{BlobTracks.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        objects = _objects(view)
        seen = tracks(view.features(self.extractor))
        frames = view.clip.num_frames
        blobs = float(np.median(np.sum([t.blobs for t in seen.values()], axis=0))) if seen else 0.0
        found = {c: t for c, t in seen.items() if t.seen.sum() * 2 >= frames}
        shapes = {c: shape_of(t) for c, t in found.items()}
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
            "object_facts.velocity_error": velocity,
        }


def shape_of(track: Track) -> str:
    """Square, circle or triangle, by how much of its bounding box the object fills."""
    fill = float(np.nanmedian(track.area / (track.box[:, 0] * track.box[:, 1])))
    return next(name for border, name in FILL_BORDERS if fill >= border)


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
