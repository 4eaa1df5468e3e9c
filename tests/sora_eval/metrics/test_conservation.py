"""The world conserves energy and momentum where nothing takes them, and each damage is seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.world import Facts, FactsError, ObjectFacts, make_clip, render, sample_facts
from reference_model.world.unseen import sample_unseen
from sora_eval.generators.world_corruptions import damaged_frames
from sora_eval.metrics.create import create
from tests.conftest import view_of, world_clip

FALLING = ObjectFacts("red", "circle", "falls")
BOUNCING = ObjectFacts("green", "circle", "bounces")
MOVING = ObjectFacts("blue", "square", "moves", "right", "slowly")


def conserved(frames, facts, given=None):
    got = create("conservation").score(view_of(frames, facts, given=given))
    return {n.partition(".")[2]: s for n, s in got.items()}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([(32, 32), (24, 40), (40, 24), (48, 48)]))
def test_the_world_conserves_both(seed, size):
    rng = np.random.default_rng(seed)
    facts = sample_facts(rng)
    try:
        clip = make_clip(facts, *size, 17, rng)
    except FactsError:
        return
    for name, score in conserved(clip.frames, facts).items():
        assert score.value is None or score.value >= 0.9, (name, score.detail)
        assert score.value is not None or score.reason


def test_pendulums_springs_ramps_friction_and_drag_conserve_what_they_leave():
    for i, row in enumerate(sample_unseen(45, 3)):
        facts = Facts.from_json(row["facts"])
        got = conserved(make_clip(facts, 32, 32, 17, np.random.default_rng(i)).frames, facts)
        assert got["energy"].value == 1.0, row["tags"]
        assert got["momentum"].value in (None, 1.0)


def test_the_curve_falls_by_what_an_impact_takes():
    clip = world_clip(BOUNCING, size=(32, 32))
    detail = conserved(clip.frames, clip.scene.facts)["energy"].detail
    curve = np.array(detail["energy_px2_per_frame2"]["energy"])
    landing = next(e.frame for e in clip.trajectory.events if e.kind == "floor")
    before, after = curve[np.array(detail["frames"]) <= landing], curve[np.array(detail["frames"]) > landing + 1]
    assert np.ptp(before) < 0.15
    assert np.ptp(after) < 0.15
    fall = clip.trajectory.positions[landing - 1 : landing + 1, 0, 1].mean() - clip.trajectory.positions[0, 0, 1]
    # Restitution 0.8 leaves 0.64 of the kinetic energy, which is g times the depth.
    assert before[0] - after.mean() == pytest.approx(0.36 * 0.3 * fall, rel=0.35)


@pytest.mark.parametrize(
    ("name", "strength", "facts", "row"),
    [
        ("gravity_changed", 0.6, FALLING, "energy"),
        ("gravity_changed", 0.6, FALLING, "momentum"),
        ("gravity_changed", 1.0, FALLING, "momentum"),  # what hangs in the air keeps its energy
        ("teleport", 0.6, MOVING, "energy"),
        ("teleport", 0.6, MOVING, "momentum"),
        ("object_vanish", 0.6, MOVING, "energy"),
        ("object_vanish", 0.6, MOVING, "momentum"),
        ("energy_gained", 1.0, BOUNCING, "energy"),
    ],
)
def test_damage_lowers_it_and_names_the_frames(name, strength, facts, row):
    scene = Facts((facts,))
    frames = damaged_frames(scene, 48, 48, 24, [3], name, strength, np.random.default_rng(0))
    clean = make_clip(scene, 48, 48, 24, np.random.default_rng([3]))
    before, after = conserved(clean.frames, scene)[row], conserved(frames, scene)[row]
    assert before.value == 1.0
    assert after.value < 0.95
    assert after.detail["broken_frames"]


def test_slow_motion_and_a_stop_in_the_air_break_energy():
    clip = world_clip(FALLING, size=(48, 48))
    still = clip.frames[8:9].repeat(17, 0)
    still[:8] = clip.frames[:8]
    got = conserved(still, clip.scene.facts)
    assert got["energy"].value < 0.8
    assert got["momentum"].value < 0.8


def test_backwards_an_inelastic_bounce_gains_energy():
    clip = world_clip(BOUNCING, size=(32, 32))
    assert conserved(clip.frames[::-1], clip.scene.facts)["energy"].value < 0.8


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 16))
def test_taking_an_object_away_never_raises_a_share_of_a_true_clip(seed, frames):
    rng = np.random.default_rng(seed)
    facts = sample_facts(rng)
    try:
        clip = make_clip(facts, 40, 40, 17, rng)
    except FactsError:
        return
    positions = clip.trajectory.positions.copy()
    positions[17 - frames :, 0] = -1000.0
    less = conserved(render(clip.scene, positions)[0], facts)
    for name, score in conserved(clip.frames, facts).items():
        if score.value is not None:
            assert less[name].value is not None
            assert less[name].value <= score.value


def test_given_frames_do_not_count():
    clip = world_clip(FALLING, size=(48, 48))
    damaged = clip.frames.copy()
    damaged[2] = np.roll(damaged[2], 12, axis=1)
    assert conserved(damaged, clip.scene.facts)["energy"].value < 1
    assert conserved(damaged, clip.scene.facts, clip.frames[:5])["energy"].value == 1.0


def test_what_is_not_covered_says_why():
    hidden = Facts((FALLING,), occluder=True)
    assert "a bar hides" in conserved(make_clip(hidden, 48, 48, 9, np.random.default_rng(0)).frames, hidden)["energy"].reason
    one = conserved(world_clip(FALLING, frames=1).frames, Facts((FALLING,)))
    assert "a step needs 2" in one["energy"].reason
