"""The world: clips whose objects, motions and captions are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference_model.world.captions import Description, caption, describe, parse, sample_level
from reference_model.world.facts import FPS, Constants, Facts, FactsError, ObjectFacts
from reference_model.world.physics import Event, Trajectory, simulate
from reference_model.world.render import Frames, render
from reference_model.world.scene import Scene, place, sample_facts

__all__ = [
    "FPS",
    "Constants",
    "Description",
    "Event",
    "Facts",
    "FactsError",
    "Frames",
    "ObjectFacts",
    "Scene",
    "Trajectory",
    "WorldClip",
    "caption",
    "describe",
    "make_clip",
    "parse",
    "place",
    "render",
    "sample_facts",
    "sample_level",
    "simulate",
]


@dataclass(frozen=True)
class WorldClip:
    """A rendered scene with its exact states: `frames` (T, H, W, 3) and `coverage` (T, H, W), the part of each pixel that
    objects cover, both 0..255."""

    scene: Scene
    trajectory: Trajectory
    frames: Frames
    coverage: Frames


def make_clip(facts: Facts, height: int, width: int, num_frames: int, rng: np.random.Generator) -> WorldClip:
    """Place, simulate and render facts, in px; all that they leave open comes from `rng`.

    Raises FactsError for objects that do not fit the frame.

    >>> facts = Facts((ObjectFacts("red", "circle", "falls"),))
    >>> make_clip(facts, 24, 40, 9, np.random.default_rng(0)).frames.shape
    (9, 24, 40, 3)
    """
    scene = place(facts, height, width, rng)
    trajectory = simulate(scene, num_frames)
    frames, coverage = render(scene, trajectory.positions)
    return WorldClip(scene, trajectory, frames, coverage)
