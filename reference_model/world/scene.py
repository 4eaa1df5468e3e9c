"""Scenes: facts, and what they leave open: the places of objects at the start and of the occluder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference_model.world.devices import start as device_start
from reference_model.world.facts import (
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    FALLING,
    FLOATING,
    FLOOR_HEIGHT,
    HELD_OUT,
    RADIUS,
    SHAPES,
    SPEEDS,
    Facts,
    FactsError,
    ObjectFacts,
)

OCCLUDER_WIDTH = 6.0  # px

# Half width and the reach above and below the centroid, in radii of the circle of equal area.
_HALF_SQUARE = np.sqrt(np.pi) / 2
_TRIANGLE_SIDE = np.sqrt(4 * np.pi / np.sqrt(3))
EXTENTS: dict[str, tuple[float, float, float]] = {
    "circle": (1.0, 1.0, 1.0),
    "square": (_HALF_SQUARE, _HALF_SQUARE, _HALF_SQUARE),
    "triangle": (_TRIANGLE_SIDE / 2, _TRIANGLE_SIDE / np.sqrt(3), _TRIANGLE_SIDE / (2 * np.sqrt(3))),
}


def extents(o: ObjectFacts) -> tuple[float, float, float]:
    """Half width, reach up and reach down of an object from its centroid, in px.

    >>> extents(ObjectFacts("red", "circle", "falls"))
    (4.5, 4.5, 4.5)
    """
    half, up, down = EXTENTS[o.shape]
    return half * RADIUS, up * RADIUS, down * RADIUS


@dataclass(frozen=True)
class Scene:
    """Facts with places, in a frame of `height` x `width` px: `starts` are centroids in px, (x, y) with y downwards."""

    facts: Facts
    height: int
    width: int
    starts: tuple[tuple[float, float], ...]
    occluder_x: float | None = None  # left edge of the bar


COUNTS = (0.6, 0.3, 0.1)  # probability of 1, 2 and 3 objects


def sample_facts(rng: np.random.Generator, fold: str = "train", counts: tuple[float, float, float] = COUNTS) -> Facts:
    """Random facts. `fold` is "train" (no held-out combination) or "held_out" (only held-out ones, one object).

    `counts` are the probabilities of 1, 2 and 3 objects. Raises FactsError for another fold."""
    if fold == "held_out":
        colour, motion = sorted(HELD_OUT)[rng.integers(len(HELD_OUT))]
        return Facts((_sample_object(rng, colour, motion),), str(rng.choice(list(BACKGROUNDS))))
    if fold != "train":
        raise FactsError(f"fold is {fold!r}; expected 'train' or 'held_out'")
    count = int(rng.choice([1, 2, 3], p=counts))
    family = FALLING if rng.random() < 0.55 else FLOATING
    weights = [0.3, 0.3, 0.3, 0.1] if family is FALLING else [0.15, 0.85]
    # In the order of the palette, so that scenes of equal look have equal descriptions.
    colours = sorted(rng.permutation(len(COLOURS))[:count])
    objects = []
    for colour in (list(COLOURS)[c] for c in colours):
        motion = str(rng.choice(family, p=weights))
        while (colour, motion) in HELD_OUT:
            motion = str(rng.choice(family, p=weights))
        objects.append(_sample_object(rng, colour, motion))
    return Facts(tuple(objects), str(rng.choice(list(BACKGROUNDS))), bool(rng.random() < 0.05))


def _sample_object(rng: np.random.Generator, colour: str, motion: str) -> ObjectFacts:
    direction = speed = None
    if motion == "moves":
        direction = str(rng.choice(list(DIRECTIONS)))
    elif motion == "slides":
        direction = str(rng.choice(["left", "right"]))
    if motion in ("moves", "slides"):
        speed = str(rng.choice(list(SPEEDS)))
    return ObjectFacts(colour, str(rng.choice(SHAPES)), motion, direction, speed)


def place(facts: Facts, height: int, width: int, rng: np.random.Generator) -> Scene:
    """Random places at the start: inside the frame, apart from one another, with room ahead where the frame allows it.

    Raises FactsError for objects that do not fit `height` x `width` px.
    """
    if facts.device:
        return Scene(facts, height, width, (device_start(facts, extents(facts.objects[0]), height, width, rng),))
    for attempt in range(1000):
        starts = tuple(_start(o, facts, height, width, rng, room_ahead=attempt < 200) for o in facts.objects)
        if _apart(facts, starts):
            bar = float(rng.uniform(0.3, 0.7) * width - OCCLUDER_WIDTH / 2) if facts.occluder else None
            return Scene(facts, height, width, starts, bar)
    raise FactsError(f"{len(facts.objects)} objects do not fit into {width}x{height} px; use a larger frame")


def _start(
    o: ObjectFacts, facts: Facts, height: int, width: int, rng: np.random.Generator, *, room_ahead: bool
) -> tuple[float, float]:
    half, up, down = extents(o)
    low_x, high_x = half + 0.5, width - half - 0.5
    low_y, high_y = up + 0.5, height - (FLOOR_HEIGHT if facts.gravity else 0.5) - down
    if high_x < low_x or high_y < low_y:
        raise FactsError(f"a {o.shape} does not fit into {width}x{height} px; use a larger frame")
    vx, vy = o.velocity
    middle_x, middle_y = (low_x + high_x) / 2, (low_y + high_y) / 2
    if vx and room_ahead:  # start in the half that it moves away from
        low_x, high_x = (low_x, middle_x) if vx > 0 else (middle_x, high_x)
    if o.motion in ("falls", "bounces"):
        high_y = low_y + 0.35 * (high_y - low_y)
    elif o.motion in ("slides", "rests"):
        low_y = high_y
    elif vy and room_ahead:
        low_y, high_y = (low_y, middle_y) if vy > 0 else (middle_y, high_y)
    return float(rng.uniform(low_x, high_x)), float(rng.uniform(low_y, high_y))


def _apart(facts: Facts, starts: tuple[tuple[float, float], ...]) -> bool:
    """No two bounding boxes nearer than one pixel."""
    boxes = []
    for o, (x, y) in zip(facts.objects, starts, strict=True):
        half, up, down = extents(o)
        boxes.append((x - half, y - up, x + half, y + down))
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            if a[0] - 1 < b[2] and b[0] - 1 < a[2] and a[1] - 1 < b[3] and b[1] - 1 < a[3]:
                return False
    return True
