"""Shared by all tests. No test needs a network once the I3D weights are in the cache."""

from __future__ import annotations

from copy import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from reference_model.world import Facts, ObjectFacts, WorldClip, make_clip
from sora_eval.features.view import ClipView
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request

pytest_plugins = ["pytester"]
# An example may take as long as its work does: a limit of wall time would fail on a busy machine.
settings.register_profile("sora_eval", settings(), deadline=None)
settings.load_profile("sora_eval")
ROOT = Path(__file__).parent.parent


def world_clip(*objects: ObjectFacts, seed: int = 0, size: tuple[int, int] = (32, 32), frames: int = 17) -> WorldClip:
    """A rendered scene of the given objects."""
    return make_clip(Facts(objects), *size, frames, np.random.default_rng(seed))


def view_of(
    frames: np.ndarray,
    facts: Facts | None = None,
    prompt: str = "a red circle falls",
    fps: float = 8.0,
    given: np.ndarray | None = None,
) -> ClipView:
    """Frames as metrics see them; `given` are those that the clip was to begin with."""
    known = facts.to_json() if facts else None
    case = Case(Prompt("p", prompt, (), known), None, None, None, None)
    clip = Clip(np.ascontiguousarray(frames), fps)
    request = Request(prompt, clip.width, clip.height, clip.num_frames, fps, 0, facts=known, first_frames=given)
    return ClipView(clip, case, request=partial(copy, request) if given is not None else None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
