"""Shared by all tests. No test needs a network once the I3D weights are in the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from reference_model.world import Facts, ObjectFacts, WorldClip, make_clip
from sora_eval.features.view import ClipView
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip

pytest_plugins = ["pytester"]
# An example may take as long as its work does: a limit of wall time would fail on a busy machine.
settings.register_profile("sora_eval", settings(), deadline=None)
settings.load_profile("sora_eval")
ROOT = Path(__file__).parent.parent


def world_clip(*objects: ObjectFacts, seed: int = 0, size: tuple[int, int] = (32, 32), frames: int = 17) -> WorldClip:
    """A rendered scene of the given objects."""
    return make_clip(Facts(objects), *size, frames, np.random.default_rng(seed))


def view_of(frames: np.ndarray, facts: Facts | None = None, prompt: str = "a red circle falls", fps: float = 8.0) -> ClipView:
    """Frames as metrics see them."""
    case = Case(Prompt("p", prompt, (), facts.to_json() if facts else None), None, None, None, None)
    return ClipView(Clip(np.ascontiguousarray(frames), fps), case)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
