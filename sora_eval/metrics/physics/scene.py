"""The scene of the laws: the objects that a prompt's facts name, each with its track, and the space they move in.

A missing object obeys no law: it has a track without a visible frame. Every exemption from a law (a contact, a wall) needs
visible evidence, so removing frames can only remove exemptions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.features.object_tracks import BlobTracks, Track, tracks
from sora_eval.features.view import ClipView
from sora_eval.util.errors import Undefined

NEEDED = {"colour", "shape", "motion", "velocity", "radius"}
CONTACT = 1.5  # px between two outlines; soft edges and the tip of a triangle hide up to half a pixel each
AT_WALL = 1.0  # px

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrackedObject:
    """An object of the prompt's facts and its track. `velocity` (2,) in px/frame at the first frame, `radius` in px."""

    colour: str
    shape: str
    motion: str
    direction: str | None
    velocity: Floats
    radius: float
    track: Track

    @property
    def diameter(self) -> float:
        """Of the circle of equal area, px."""
        return 2 * self.radius

    @property
    def reach_down(self) -> float:
        """From the centroid to the lowest edge of the ideal shape, px."""
        ratio: dict[str, float] = {"circle": 1.0, "square": np.sqrt(np.pi) / 2, "triangle": 0.778}
        return ratio[self.shape] * self.radius


@dataclass(frozen=True)
class Constants:
    """The constants that a prompt's facts state, in px and frames: g, restitution, friction, drag, and of a device the length
    (px), the angle (degrees) and the stiffness (1/frame^2); 0 where it has none."""

    gravity: float
    restitution: float = 0.0
    friction: float = 0.0
    drag: float = 0.0
    length: float = 0.0
    angle: float = 0.0
    stiffness: float = 0.0


@dataclass(frozen=True)
class Scene:
    """The prompt's objects, all visible tracks (`seen`, also of other colours), and the space: sizes in px, `gravity` in
    px/frame^2, the floor's y in px. `constants` and `device` (pendulum, ramp, spring) of prompts that state them."""

    objects: tuple[TrackedObject, ...]
    seen: tuple[Track, ...]
    num_frames: int
    width: int
    height: int
    gravity: float
    floor_y: float
    occluder: bool
    constants: Constants | None = None
    device: str | None = None

    def truth(self, name: str) -> float | None:
        """The stated value of a constant; of g that of the scene. None where the facts do not state it."""
        if name == "gravity":
            return self.gravity
        return None if self.constants is None else float(getattr(self.constants, name))

    @cached_property
    def touching(self) -> dict[str, Bools]:
        """For each of the prompt's objects the frames (T,) in which it touches any other."""
        return {t.colour: touching(t.track, self.seen) for t in self.objects}

    def at_wall(self, track: Track, axis: int) -> Bools:
        """Frames (T,) in which an object is at one of the two ends of an axis (0: x, 1: y): walls, floor, and without gravity
        the ceiling."""
        end = (self.width, self.floor_y if self.gravity else self.height)[axis]
        at_end = track.high[:, axis] >= end - AT_WALL
        return at_end if self.gravity and axis == 1 else at_end | (track.low[:, axis] <= AT_WALL)


def scene_of(view: ClipView, extractor: BlobTracks) -> Scene:
    """The scene of a clip. Raises Undefined for a prompt without facts, or without those that laws need."""
    facts = view.case.prompt.facts
    if not facts or not facts.get("objects"):
        raise Undefined("the prompt has no facts; laws of tracked objects need to know what should be there")
    descriptions: list[dict[str, Any]] = facts["objects"]
    lacking = sorted({k for o in descriptions for k in NEEDED - set(o)} | ({"gravity", "floor"} - set(facts)))
    if lacking:
        raise Undefined(f"the prompt's facts lack {', '.join(lacking)}; docs/suites.md says what they hold")
    seen = tracks(view.features(extractor))
    clip = view.clip
    objects = tuple(
        TrackedObject(
            o["colour"],
            o["shape"],
            o["motion"],
            o.get("direction"),
            np.asarray(o["velocity"], float),
            float(o["radius"]),
            seen.get(o["colour"]) or Track.missing(o["colour"], clip.num_frames),
        )
        for o in descriptions
    )
    gravity, floor_y = float(facts["gravity"]), clip.height - float(facts["floor"])
    occluder = bool(facts.get("occluder"))
    space = (clip.num_frames, clip.width, clip.height, gravity, floor_y, occluder)
    return Scene(objects, tuple(seen.values()), *space, _constants(facts), facts.get("device"))


def _constants(facts: dict[str, Any]) -> Constants | None:
    """Raises Undefined for a table of constants that holds anything but known numbers."""
    stated = facts.get("constants")
    if stated is None:
        return None
    try:
        return Constants(**{name: float(value) for name, value in stated.items() if value is not None})
    except (TypeError, ValueError, AttributeError) as error:
        raise Undefined(f"the prompt's constants cannot be read: {error}; docs/suites.md says what they hold") from error


def near(a: Track, b: Track) -> Bools:
    """Frames (T,) in which the boxes of two outlines are less than 1.5 px apart, or meet before the next frame at their
    present speed; an unseen object is near nothing."""
    gap = np.maximum(a.low - b.high, b.low - a.high).max(1)
    ahead = np.concatenate([[np.nan], 2 * gap[1:] - gap[:-1]])
    contact: Bools = (gap < CONTACT) | (ahead < 0)
    return contact


def touching(track: Track, others: Iterable[Track]) -> Bools:
    """Frames (T,) in which a track is near any other one."""
    out = np.zeros(len(track.position), bool)
    for other in others:
        if other.colour != track.colour:
            out |= near(track, other)
    return out


def runs(mask: Bools) -> list[tuple[int, int]]:
    """Half-open intervals of True.

    >>> runs(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
