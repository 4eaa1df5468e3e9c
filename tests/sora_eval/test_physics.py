"""The world obeys its own laws to the tracker's floor, and each damage breaks the law that it is about."""

import cv2
import numpy as np
import pytest

from reference_model.world import Facts, FactsError, ObjectFacts, make_clip, sample_facts
from sora_eval.features.base import Undefined
from sora_eval.features.tracks import BlobTracks, Track, tracks
from sora_eval.metrics import create
from sora_eval.metrics.physics import support
from tests.conftest import view_of, world_clip

FALLING = ObjectFacts("red", "circle", "falls")
MOVING = ObjectFacts("blue", "square", "moves", "right", "slowly")


def laws(frames, facts):
    view = view_of(frames, facts)
    scores = {**create("physics_laws").score(view), **create("object_facts").score(view)}
    return {name.split(".")[1]: s for name, s in scores.items()}


def test_tracks_follow_the_truth_to_a_tenth_of_a_pixel():
    errors = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        try:
            clip = make_clip(sample_facts(rng), 40, 40, 17, rng)
        except FactsError:
            continue
        if clip.scene.facts.occluder:
            continue
        found = tracks(BlobTracks()(view_of(clip.frames).clip))
        for i, o in enumerate(clip.scene.facts.objects):
            errors.append(np.median(np.linalg.norm(found[o.colour].position - clip.trajectory.positions[:, i], axis=1)))
    assert len(errors) > 50
    assert np.median(errors) < 0.1


def test_a_perfect_clip_obeys_every_law():
    for o in (FALLING, MOVING, ObjectFacts("green", "triangle", "bounces")):
        clip = world_clip(o)
        scores = laws(clip.frames, clip.scene.facts)
        assert all(s.value == 1.0 for n, s in scores.items() if s.value is not None and n != "velocity_error")
        if scores["free_fall"].value is not None:
            assert scores["free_fall"].detail["fitted_g"] == pytest.approx(0.3, abs=0.03)
        else:
            assert scores["velocity_error"].value < 0.05


def test_a_missing_object_always_makes_it_worse():
    clip = world_clip(FALLING)
    empty = np.full_like(clip.frames, 10)
    before = laws(clip.frames, clip.scene.facts)
    last = dict.fromkeys(("permanence", "continuity", "rigidity", "free_fall"), 1.0)
    for gone in (2, 10, 17):
        frames = clip.frames.copy()
        frames[17 - gone :] = empty[17 - gone :]
        scores = laws(frames, clip.scene.facts)
        for name, value in last.items():
            assert scores[name].value < value or (name == "free_fall" and gone == 2)
            last[name] = scores[name].value
    assert last == dict.fromkeys(last, 0.0)
    assert before["count"].value == 1.0
    assert scores["count"].value == scores["colour"].value == scores["shape"].value == 0.0
    assert scores["velocity_error"].value is None  # reported as missing, not as a coordinate


def test_a_teleport_breaks_continuity_in_its_frames():
    clip = world_clip(MOVING, size=(48, 48))
    frames = clip.frames.copy()
    frames[8] = np.roll(frames[8], 20, axis=0)
    score = laws(frames, clip.scene.facts)["continuity"]
    assert score.detail["broken_frames"] == [8, 9]
    assert score.value == pytest.approx(14 / 16)


def test_hanging_in_the_air_is_no_free_fall():
    clip = world_clip(FALLING)
    hanging = clip.frames[:1].repeat(17, 0)
    score = laws(hanging, clip.scene.facts)["free_fall"]
    assert score.value < 0.5
    assert score.detail["fitted_g"] == pytest.approx(0.0, abs=0.01)


def test_a_growing_object_is_not_rigid_and_an_extra_one_breaks_permanence():
    clip = world_clip(MOVING, size=(48, 48))
    big = np.stack([cv2.dilate(f, np.ones((5, 5), np.uint8)) for f in clip.frames])
    frames = np.concatenate([clip.frames[:12], big[12:]])
    assert laws(frames, clip.scene.facts)["rigidity"].value < 0.8
    two = world_clip(MOVING, ObjectFacts("red", "circle", "floats"), size=(48, 48))
    scores = laws(two.frames, Facts((MOVING,)))
    assert scores["permanence"].value == 0.5
    assert scores["count"].value == 0.0
    assert scores["colour"].value == 1.0


def test_wrong_shape_and_wrong_speed_are_seen():
    clip = world_clip(MOVING, size=(48, 48))
    asked = Facts((ObjectFacts("blue", "circle", "moves", "right", "quickly"),))
    scores = laws(clip.frames, asked)
    assert scores["shape"].value == 0.0
    assert scores["motion"].value == 1.0
    assert scores["velocity_error"].value == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("motion", ["still", "left", "right", "up", "down", "falls", "bounces"])
def test_every_way_to_move_is_told_from_every_other(motion):
    o = {
        "still": ObjectFacts("red", "circle", "floats"),
        "falls": FALLING,
        "bounces": ObjectFacts("red", "circle", "bounces"),
    }.get(motion) or ObjectFacts("red", "circle", "moves", motion, "slowly")
    for seed in range(5):
        clip = world_clip(o, size=(48, 48), seed=seed)
        assert laws(clip.frames, clip.scene.facts)["motion"].detail["seen"] == {"red": motion}


def test_without_facts_there_is_no_law():
    with pytest.raises(Undefined, match="no facts"):
        create("physics_laws").score(view_of(np.zeros((5, 32, 32, 3), np.uint8)))


def track_of(x, y=20.0, colour="red", side=8.0):
    """A square that is seen in every frame."""
    x = np.asarray(x, float)
    position = np.stack([x, np.broadcast_to(np.asarray(y, float), x.shape)], 1)
    ones = np.ones(len(x))
    return Track(colour, position, side**2 * ones, side * np.ones((len(x), 2)), ones.astype(int))


TIME = np.arange(17.0)


def test_support_knows_floor_air_and_neighbours():
    square, floor = {"shape": "square"}, 30.0
    resting = track_of(np.full(17, 20.0), 26.0)
    assert support(resting, [resting], 17, square, floor).value == 1.0
    hanging = track_of(np.full(17, 20.0), 12.0)
    assert support(hanging, [hanging], 17, square, floor).value == 0.0
    on_top = track_of(np.full(17, 20.0), 18.0, "blue")
    assert support(on_top, [on_top, resting], 17, square, floor).value == 1.0
    sinking = track_of(np.full(17, 20.0), 26 + 0.5 * TIME)
    assert support(sinking, [sinking], 17, square, floor).detail["broken_frames"] == list(range(4, 17))
    falling = track_of(np.full(17, 20.0), np.minimum(5 + 0.15 * TIME**2, 26.0))
    assert support(falling, [falling], 17, square, floor).value == 1.0
    assert support(None, [], 17, square, floor).value == 0.0
