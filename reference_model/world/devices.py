"""A pendulum, a ramp and a spring: where they stand in a frame, and the place from which their object starts at rest.

No training clip has one. The pivot of a pendulum and the hook of a spring are in the middle of the upper edge; a ramp ends on
the floor at the wall that its object slides towards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reference_model.world.facts import FLOOR_HEIGHT, Constants, Facts, FactsError, ObjectFacts

Point = tuple[float, float]

CLEAR = 0.5  # px between an object and the edges of the frame at the start
SWING = (0.25, 0.4)  # of the frame's height between the start of what hangs on a spring and its place of rest


@dataclass(frozen=True)
class Ramp:
    """A straight slope: `foot`, where it meets the floor, and `top`, both px; `along`, the unit vector downhill."""

    foot: Point
    top: Point
    along: Point


def anchor(width: int) -> Point:
    """Pivot of a pendulum and hook of a spring in a frame of this width, px."""
    return width / 2, 0.0


def ramp_of(facts: Facts, height: int, width: int) -> Ramp:
    """The ramp of a scene. It runs from the floor at one wall up to the other wall."""
    assert facts.constants is not None
    assert facts.constants.angle is not None
    angle, side = math.radians(facts.constants.angle), 1.0 if facts.objects[0].direction == "right" else -1.0
    foot = (float(width) if side > 0 else 0.0, float(height - FLOOR_HEIGHT))
    top = (foot[0] - side * width, foot[1] - math.tan(angle) * width)
    return Ramp(foot, top, (side * math.cos(angle), math.sin(angle)))


def reach(o: ObjectFacts, half: float, up: float, down: float, across: Point) -> float:
    """How far an object reaches from its centroid in the direction `across`, a unit vector, px; `half`, `up`, `down` are its
    extents."""
    corners = {
        "circle": [],
        "square": [(-half, -up), (half, -up), (half, down), (-half, down)],
        "triangle": [(0.0, -up), (half, down), (-half, down)],
    }[o.shape]
    return max((x * across[0] + y * across[1] for x, y in corners), default=half)


def start(facts: Facts, extents: tuple[float, float, float], height: int, width: int, rng: np.random.Generator) -> Point:
    """The centroid at rest from which the device moves the object, px. Raises FactsError where it does not fit the frame."""
    constants = facts.constants
    assert constants is not None
    make = {"pendulum": _on_pendulum, "ramp": _on_ramp, "spring": _on_spring}[facts.device or ""]
    return make(facts, constants, extents, height, width, rng)


def _misfit(facts: Facts, height: int, width: int) -> FactsError:
    return FactsError(f"the {facts.device} does not fit into {width}x{height} px; use a larger frame, or other constants")


def _on_pendulum(
    facts: Facts, c: Constants, extents: tuple[float, float, float], height: int, width: int, rng: np.random.Generator
) -> Point:
    assert c.length is not None
    assert c.angle is not None
    half, up, down = extents
    x, y = anchor(width)
    angle = math.radians(c.angle) * (-1 if facts.objects[0].direction == "right" else 1)  # it swings away from its start
    aside = c.length * math.sin(abs(angle))
    if aside + half + CLEAR > width / 2 or y + c.length + down + CLEAR > height - FLOOR_HEIGHT:
        raise _misfit(facts, height, width)
    if c.length * math.cos(angle) < up + CLEAR:
        raise _misfit(facts, height, width)
    return x + c.length * math.sin(angle), y + c.length * math.cos(angle)


def _on_ramp(
    facts: Facts, c: Constants, extents: tuple[float, float, float], height: int, width: int, rng: np.random.Generator
) -> Point:
    half, up, down = extents
    ramp = ramp_of(facts, height, width)
    # A unit vector into the ramp, at a right angle to it.
    across = (-ramp.along[0] / abs(ramp.along[0]) * ramp.along[1], abs(ramp.along[0]))
    away = reach(facts.objects[0], half, up, down, across)
    low = half + CLEAR
    # The centroid at the foot, and how far uphill of it the object keeps clear of the wall and of the upper edge.
    contact = (ramp.foot[0] - across[0] * away, ramp.foot[1] - across[1] * away)
    room = contact[0] - low if ramp.along[0] > 0 else width - low - contact[0]
    furthest = min(room / abs(ramp.along[0]), (contact[1] - up - CLEAR) / ramp.along[1])
    if furthest < 12.0:
        raise _misfit(facts, height, width)
    uphill = float(rng.uniform(0.85, 1.0)) * furthest
    return contact[0] - ramp.along[0] * uphill, contact[1] - ramp.along[1] * uphill


def _on_spring(
    facts: Facts, c: Constants, extents: tuple[float, float, float], height: int, width: int, rng: np.random.Generator
) -> Point:
    _, up, down = extents
    x, _ = anchor(width)
    away = float(rng.uniform(*SWING)) * (height - FLOOR_HEIGHT - up - down) * (1 if facts.objects[0].direction == "up" else -1)
    y = rest_place(height, up, down) + away
    if not up + CLEAR <= y <= height - FLOOR_HEIGHT - down - CLEAR:
        raise _misfit(facts, height, width)
    return x, y


def rest_place(height: int, up: float, down: float) -> float:
    """The y at which an object hangs at rest on a spring: the middle of its room."""
    return (up + height - FLOOR_HEIGHT - down) / 2
