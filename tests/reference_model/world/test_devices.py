"""Pendulum, ramp and spring move as their laws say, constants act as stated, and no training scene has any of them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from reference_model.networks.text import tokenize
from reference_model.world import Constants, Facts, FactsError, ObjectFacts, caption, describe, make_clip, parse, sample_facts
from reference_model.world.facts import DEVICES, FLOOR_HEIGHT
from reference_model.world.unseen import KINDS, sample_unseen

SHAPES = ("circle", "square", "triangle")
TIME = np.arange(17.0)


def path(motion, direction, constants, shape="circle", size=(48, 48), speed=None, seed=0):
    facts = Facts((ObjectFacts("red", shape, motion, direction, speed),), constants=constants)
    return make_clip(facts, *size, 17, np.random.default_rng(seed)).trajectory.positions[:, 0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("direction", ["left", "right"])
@pytest.mark.parametrize("g", [0.3, 0.45])
def test_a_pendulum_solves_its_equation(shape, direction, g):
    x, y = path("swings", direction, Constants(gravity=g, length=18.0, angle=40.0), shape).T
    x = x - 24
    assert np.allclose(np.hypot(x, y), 18.0, atol=0.01)
    angle = np.arctan2(x, y)
    assert np.sign(angle[0]) == (-1 if direction == "right" else 1)
    exact = solve_ivp(lambda _, s: [s[1], -g / 18 * np.sin(s[0])], (0, 16), [angle[0], 0.0], t_eval=TIME, rtol=1e-9, atol=1e-9)
    assert np.abs(18 * (angle - exact.y[0])).max() < 0.1  # px


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("direction", "friction"), [("left", 0.0), ("right", 0.0), ("right", 0.2)])
def test_a_ramp_leaves_the_part_of_g_along_it_less_friction(shape, direction, friction):
    positions = path("descends", direction, Constants(angle=35.0, friction=friction), shape)
    slope = np.radians(35.0)
    along = np.array([np.cos(slope) * (1 if direction == "right" else -1), np.sin(slope)])
    down, aside = (positions - positions[0]) @ along, (positions - positions[0]) @ np.array([-along[1], along[0]])
    assert np.abs(aside[:12]).max() < 0.05
    assert 2 * np.polyfit(TIME[:12], down[:12], 2)[0] == pytest.approx(
        0.3 * (np.sin(slope) - friction * np.cos(slope)), abs=1e-3
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_spring_swings_harmonically_around_the_middle_of_its_room(shape):
    x, y = path("oscillates", "up", Constants(stiffness=0.15), shape).T
    assert np.allclose(x, 24.0)
    up, down = {"circle": (1, 1), "square": (0.886, 0.886), "triangle": (1.555, 0.778)}[shape]
    rest = (48 - FLOOR_HEIGHT + 4.5 * (up - down)) / 2
    assert np.abs(y - rest - (y[0] - rest) * np.cos(np.sqrt(0.15) * TIME)).max() < 0.2
    assert y[1] < y[0]


def test_friction_and_drag_slow_as_stated_and_g_and_restitution_are_their_own():
    x = path("slides", "right", Constants(friction=0.2), speed="quickly")[:, 0]
    assert np.allclose(np.diff(x[1:9], 2), -0.2 * 0.3, atol=2e-3)
    v = np.diff(path("moves", "right", Constants(restitution=1.0, drag=0.05), speed="quickly")[:, 0])
    assert np.allclose(v[1:8] / v[:7], np.exp(-0.05), atol=1e-6)
    y = path("bounces", None, Constants(gravity=0.45, restitution=0.6), size=(32, 32))[:, 1]
    assert np.diff(y, 2)[:4] == pytest.approx(0.45, abs=1e-6)
    steps = np.diff(y)
    hit = int(np.argmax(steps < 0))
    assert -steps[hit + 1] / steps[hit - 2] == pytest.approx(0.6, abs=0.15)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([(32, 32), (48, 48)]))
def test_unseen_scenes_fit_and_their_captions_are_read_back(seed, size):
    for i, row in enumerate(sample_unseen(len(KINDS), seed)):
        facts = Facts.from_json(json.loads(json.dumps(row["facts"])))
        assert facts.to_json() == row["facts"]
        clip = make_clip(facts, *size, 17, np.random.default_rng([seed, i]))
        again = make_clip(facts, *size, 17, np.random.default_rng([seed, i]))
        assert np.array_equal(clip.frames, again.frames)
        x, y = clip.trajectory.positions[:, 0].T
        assert ((x > 0) & (x < size[1]) & (y > 0) & (y < size[0])).all()
        for level in ("short", "medium", "dense"):
            words = describe(facts, clip.scene, clip.trajectory.events).at(level)
            tokenize([words.text()])
            assert parse(words.text()).slots() == words.slots()


def test_a_device_is_drawn_in_grey_so_that_only_the_object_has_a_hue():
    for row in sample_unseen(len(KINDS), 1):
        facts = Facts.from_json(row["facts"])
        clip = make_clip(facts, 32, 32, 5, np.random.default_rng(0))
        chroma = np.ptp(clip.frames.astype(int), axis=-1)
        assert (chroma[clip.coverage == 0] == 0).all()
        if facts.device:
            bare = Facts((ObjectFacts(facts.objects[0].colour, "circle", "rests"),), facts.background)
            ground = make_clip(bare, 32, 32, 1, np.random.default_rng(0)).frames[0, 0, 0]
            assert (clip.frames[0][: 32 - FLOOR_HEIGHT][clip.coverage[0][: 32 - FLOOR_HEIGHT] == 0] != ground).any()


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), fold=st.sampled_from(["train", "held_out"]))
def test_no_other_scene_has_a_device_or_constants(seed, fold):
    facts = sample_facts(np.random.default_rng(seed), fold)
    assert facts.constants is None
    assert facts.device is None
    assert not {"constants", "device"} & set(facts.to_json())


def test_captions_of_devices():
    assert caption(
        Facts((ObjectFacts("red", "circle", "swings", "right"),), constants=Constants(length=9, angle=9)), "short"
    ) == ("a red circle on a bar moves right and left")
    assert set(DEVICES) == {"swings", "descends", "oscillates"}


@pytest.mark.parametrize(
    ("motion", "direction", "constants", "words"),
    [
        ("swings", "right", None, "swings needs a pendulum: constants.length is missing"),
        ("descends", "right", {}, "descends needs a ramp: constants.angle is missing"),
        ("oscillates", "left", {"stiffness": 0.1}, "has the direction 'left'; expected up or down"),
        ("falls", None, {"gravity": -1}, "gravity is -1; expected a number from 0.01 to 2"),
        ("falls", None, {"gravity": True}, "gravity is True; expected a number"),
        ("falls", None, {"lift": 1}, "'constants' a table with gravity, restitution, friction"),
    ],
)
def test_facts_that_no_device_can_have_are_named(motion, direction, constants, words):
    o = {"colour": "red", "shape": "circle", "motion": motion, "direction": direction}
    with pytest.raises(FactsError, match=words):
        Facts.from_json({"objects": [o], "constants": constants})


def test_a_device_holds_one_object_and_must_fit():
    swing, other = ObjectFacts("red", "circle", "swings", "left"), ObjectFacts("blue", "circle", "falls")
    with pytest.raises(FactsError, match="one object"):
        Facts((swing, ObjectFacts("blue", "circle", "swings", "left")), constants=Constants(length=9, angle=9))
    with pytest.raises(FactsError, match="cannot share a scene"):
        Facts((swing, other), constants=Constants(length=9, angle=9))
    with pytest.raises(FactsError, match="the pendulum does not fit into 24x24 px"):
        path("swings", "left", Constants(length=40.0, angle=30.0), size=(24, 24))
