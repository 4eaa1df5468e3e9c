"""Prompts whose constants or whose laws no training clip has: another g, restitution, friction or drag, or a device.

One object each, in turns over `KINDS`. Half of the free scenes keep the constants of the training, so that what a fit of a
generator's clips is off by can be compared in and out of its range. Not part of any training: `sample_facts` draws none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from reference_model.world.captions import caption
from reference_model.world.facts import (
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    HELD_OUT,
    SHAPES,
    SPEEDS,
    Constants,
    Facts,
    ObjectFacts,
)

FREE = ("bounces", "slides", "moves")
IN, OUT = "range:in", "range:out"
KINDS: tuple[tuple[str, str], ...] = (
    *((motion, tag) for motion in FREE for tag in (IN, OUT)),
    ("swings", OUT),
    ("descends", OUT),
    ("oscillates", OUT),
)
TRAINED = {"bounces": Constants(), "slides": Constants(), "moves": Constants(restitution=1.0)}
# Ends of the ranges, below and above what training has (g 0.3, restitution 0.8, no friction, no drag).
GRAVITIES, RESTITUTIONS = ((0.14, 0.22), (0.4, 0.55)), ((0.4, 0.65), (0.9, 1.0))
FRICTIONS, DRAGS = (0.05, 0.3), (0.03, 0.1)
LENGTHS, SWINGS, SLOPES, STIFFNESSES = (10.0, 14.0), (25.0, 40.0), (20.0, 45.0), (0.08, 0.3)  # px, degrees, degrees, 1/frame^2


def sample_unseen(count: int, seed: int) -> list[dict[str, Any]]:
    """`count` prompts as rows (id, text, tags, facts). All fit a frame of 32x32 px."""
    rng = np.random.default_rng([seed, 0x0D1F])
    rows = []
    for i in range(count):
        motion, tag = KINDS[i % len(KINDS)]
        facts = _facts(motion, tag, rng)
        words = caption(facts, "medium")
        rows.append({"id": f"u{i:03d}", "text": words, "tags": [tag, f"motion:{motion}"], "facts": facts.to_json()})
    return rows


def _facts(motion: str, tag: str, rng: np.random.Generator) -> Facts:
    colour = str(rng.choice(list(COLOURS)))
    while (colour, motion) in HELD_OUT:
        colour = str(rng.choice(list(COLOURS)))
    ways = {"moves": tuple(DIRECTIONS), "oscillates": ("up", "down"), "bounces": (None,)}.get(motion, ("left", "right"))
    speed = str(rng.choice(list(SPEEDS))) if motion in ("slides", "moves") else None
    o = ObjectFacts(colour, str(rng.choice(SHAPES)), motion, ways[int(rng.integers(len(ways)))], speed)
    constants = TRAINED[motion] if tag == IN else _constants(motion, rng)
    return Facts((o,), str(rng.choice(list(BACKGROUNDS))), constants=constants)


def _constants(motion: str, rng: np.random.Generator) -> Constants:
    def draw(*ranges: tuple[float, float]) -> float:
        return round(float(rng.uniform(*ranges[int(rng.integers(len(ranges)))])), 3)

    match motion:
        case "bounces":
            return Constants(draw(*GRAVITIES), draw(*RESTITUTIONS))
        case "slides":
            return Constants(friction=draw(FRICTIONS))
        case "moves":
            return replace(TRAINED["moves"], drag=draw(DRAGS))
        case "swings":
            return Constants(length=draw(LENGTHS), angle=draw(SWINGS))
        case "descends":
            return Constants(angle=draw(SLOPES))
        case _:
            return Constants(stiffness=draw(STIFFNESSES))
