"""The world: clips whose objects, motions and captions are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference_model.world.captions import Description, caption, describe, parse, sample_level
from reference_model.world.facts import FPS, Facts, FactsError, ObjectFacts
from reference_model.world.physics import Event, Trajectory, simulate
from reference_model.world.render import Frames, render
from reference_model.world.scene import Scene, place, sample_facts

__all__ = [
    "FPS",
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
    """A rendered scene with its exact states. `coverage` says how much of each pixel an object covers, 0..255."""

    scene: Scene
    trajectory: Trajectory
    frames: Frames
    coverage: Frames


def make_clip(facts: Facts, height: int, width: int, num_frames: int, rng: np.random.Generator) -> WorldClip:
    """Place, simulate and draw facts; everything that they leave open comes from `rng`."""
    scene = place(facts, height, width, rng)
    trajectory = simulate(scene, num_frames)
    frames, coverage = render(scene, trajectory.positions)
    return WorldClip(scene, trajectory, frames, coverage)
