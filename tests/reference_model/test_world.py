"""The world keeps its own laws, and its captions say what is drawn."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.text import tokenize
from reference_model.world import Facts, FactsError, ObjectFacts, caption, make_clip, sample_caption, sample_facts
from reference_model.world.facts import GRAVITY, HELD_OUT, SIZES
from reference_model.world.prompts import sample_prompts
from tests.conftest import ROOT, world_clip

SHAPES = [(32, 32), (24, 40), (40, 24), (48, 48)]


def test_free_fall_has_the_stated_acceleration():
    positions = world_clip(ObjectFacts("red", "circle", "small", "falls")).trajectory.positions[:6, 0, 1]
    assert np.allclose(np.diff(positions, 2), GRAVITY, atol=1e-9)


@pytest.mark.parametrize(("direction", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)])
def test_uniform_motion_has_the_stated_velocity(direction, axis, sign):
    clip = world_clip(ObjectFacts("blue", "square", "small", "moves", direction, "slowly"))
    steps = np.diff(clip.trajectory.positions[:6, 0], axis=0)
    assert np.allclose(steps[:, axis], sign * 0.75, atol=1e-9)
    assert np.allclose(steps[:, 1 - axis], 0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from(SHAPES))
def test_every_clip_is_deterministic_inside_the_frame_and_has_a_readable_caption(seed, size):
    rng = np.random.default_rng(seed)
    facts = sample_facts(rng)
    try:
        clip = make_clip(facts, *size, 17, np.random.default_rng(seed))
    except FactsError:  # three large objects do not fit every frame
        return
    again = make_clip(facts, *size, 17, np.random.default_rng(seed))
    assert np.array_equal(clip.frames, again.frames)
    assert clip.frames.shape == (17, *size, 3)
    x, y = clip.trajectory.positions[..., 0], clip.trajectory.positions[..., 1]
    assert (x > 0).all()
    assert (x < size[1]).all()
    assert (y < size[0]).all()
    assert not any((o.colour, o.motion) in HELD_OUT for o in facts.objects)
    for level in ("short", "medium", "dense"):
        tokenize([caption(facts, level, scene=clip.scene, events=clip.trajectory.events)])  # every word is known
    tokenize([sample_caption(facts, rng, still=True, scene=clip.scene, events=())])
    assert Facts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


@pytest.mark.parametrize("shape", ["circle", "square", "triangle"])
@pytest.mark.parametrize("size", list(SIZES))
def test_shapes_of_one_size_have_one_area(shape, size):
    clip = world_clip(ObjectFacts("red", shape, size, "floats"))
    assert clip.coverage[0].sum() / 255 == pytest.approx(np.pi * SIZES[size] ** 2, rel=0.03)


def test_a_still_picture_has_a_caption_without_motion():
    facts = Facts((ObjectFacts("red", "circle", "small", "falls"),))
    assert caption(facts, "medium", still=True) == "a small red circle on a black background"
    assert caption(facts, "short") == "a red circle falls"


def test_held_out_combinations_come_only_when_asked_for():
    facts = sample_facts(np.random.default_rng(1), "held_out")
    assert (facts.objects[0].colour, facts.objects[0].motion) in HELD_OUT


@pytest.mark.parametrize(("name", "count", "seed"), [("quick", 32, 7), ("world", 100, 11)])
def test_shipped_prompts_are_what_their_command_draws(name, count, seed):
    rows = [json.loads(line) for line in (ROOT / f"suites/prompts/{name}.jsonl").read_text().splitlines()]
    assert rows == json.loads(json.dumps(sample_prompts(count, seed)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "pink"}, "colour is 'pink'; expected one of: red"),
        ({"motion": "explodes"}, "motion is 'explodes'"),
    ],
)
def test_impossible_facts_are_named(change, words):
    good = {"colour": "red", "shape": "circle", "size": "small", "motion": "falls"}
    with pytest.raises(FactsError, match=words):
        Facts.from_json({"objects": [{**good, **change}]})
    with pytest.raises(FactsError, match="cannot share a scene"):
        Facts.from_json({"objects": [good, {**good, "colour": "blue", "motion": "floats"}]})
