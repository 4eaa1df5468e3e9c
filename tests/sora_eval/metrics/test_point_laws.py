"""Points of a rigid picture that moves smoothly obey every law; cuts, noise, shuffles and jumps do not."""

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_model.world import ObjectFacts
from sora_eval.features.point_tracks import POINTS, SEGMENT, PointTracks
from sora_eval.metrics.create import create
from sora_eval.metrics.point_laws import LAWS, NEIGHBOURS, _distances, _neighbours, point_laws
from sora_eval.util.errors import Undefined
from tests.conftest import view_of, world_clip

T = 17


@pytest.fixture(scope="module")
def texture():
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX)


def translating(texture, pixels=3.0):
    return np.stack([texture[50:178, 50 + int(pixels * t) : 178 + int(pixels * t)] for t in range(T)])


def rotating(texture, degrees=2.0):
    turns = [cv2.getRotationMatrix2D((200, 200), degrees * t, 1) for t in range(T)]
    return np.stack([cv2.warpAffine(texture, m, (400, 400))[136:264, 136:264] for m in turns])


def scores(frames):
    return {name.split(".")[1]: s for name, s in create("point_laws").score(view_of(frames)).items()}


@pytest.mark.parametrize("make", [translating, rotating])
def test_a_rigid_picture_that_moves_or_turns_obeys(texture, make):
    found = scores(make(texture))
    assert {law: found[law].value > 0.99 for law in LAWS} == dict.fromkeys(LAWS, True)
    assert found["permanence"].detail == {"broken_frames": [], "points": POINTS}


def test_the_tracks_are_the_motion_to_a_tenth_of_a_pixel(texture):
    places = PointTracks()(view_of(translating(texture)).clip)
    assert places.shape == (2, POINTS, SEGMENT, 2)
    steps = 128 * np.diff(places, axis=2)
    assert np.nanmedian(np.abs(steps - (-3.0, 0.0))) < 0.1


@pytest.mark.parametrize("make", [translating, rotating])
def test_shuffled_frames_break_every_law(texture, make):
    frames = make(texture)
    order = np.random.default_rng(1).permutation(T)
    whole, shuffled = scores(frames), scores(frames[order])
    for law in LAWS:
        assert shuffled[law].value < whole[law].value - 0.2
    assert len(shuffled["smoothness"].detail["broken_frames"]) > 5


def test_a_cut_breaks_its_segment_from_its_frame_on_and_noise_breaks_all(texture, rng):
    frames = translating(texture)
    frames[11:] = texture[250:378, 250:378]
    found = scores(frames)["permanence"]
    assert found.value < 0.9
    assert found.detail["broken_frames"] == list(range(11, 17))
    noise = scores(rng.integers(0, 256, frames.shape, dtype=np.uint8))
    assert all(noise[law].value < 0.1 for law in LAWS)


def test_each_law_has_its_own_way_to_be_broken():
    """Tracks made by hand, so that nothing is lost."""
    grid = np.stack(np.meshgrid(np.linspace(0.2, 0.8, 6), np.linspace(0.2, 0.8, 6)), -1).reshape(-1, 2)
    time = np.arange(SEGMENT)[None, :, None]
    still = np.repeat(grid[:, None], SEGMENT, 1)[None]
    size = np.ones(2)

    def broken(places):
        return {law for law, s in point_laws(places, size, SEGMENT).items() if s.value < 0.99}

    assert broken(still) == set()
    assert broken(still + 0.01 * time) == set()
    assert broken(still + 0.002 * time**2) == set()
    swinging = still + 0.05 * (time % 2)
    assert broken(swinging) == {"smoothness"}
    growing = (still - 0.5) * (1 + 0.15 * time * (time < 4) + 0.45 * (time >= 4)) + 0.5
    assert "rigidity" in broken(growing)
    jumping = still.copy()
    jumping[0, 14, 5:] += 0.2
    values = point_laws(jumping, size, SEGMENT)
    assert values["continuity"].value == pytest.approx(1 - 1 / (36 * 8))
    assert values["permanence"].value == 1.0
    gone = still.copy()
    gone[0, 14, 5:] = np.nan
    values = point_laws(gone, size, SEGMENT)
    for law in ("permanence", "continuity", "rigidity"):
        assert values[law].value == pytest.approx(1 - 4 / (36 * 8))


def test_leaving_the_picture_and_being_covered_explain_a_loss():
    grid = np.stack(np.meshgrid(np.linspace(0.2, 0.8, 6), np.linspace(0.2, 0.8, 6)), -1).reshape(-1, 2)
    places = np.repeat(grid[:, None], SEGMENT, 1)[None]
    leaving = places.copy()
    leaving[0, 0] = [(0.2 - 0.04 * t, 0.2) for t in range(SEGMENT)]
    leaving[0, 0, 5:] = np.nan
    assert point_laws(leaving, np.ones(2), SEGMENT)["permanence"].value == 1.0
    covered = places.copy()
    covered[0, 1] = [(0.2 + 0.04 * t, 0.32) for t in range(SEGMENT)]
    covered[0, 8, 5:] = np.nan  # at (0.44, 0.32), where the moving one arrives
    assert point_laws(covered, np.ones(2), SEGMENT)["permanence"].value == 1.0
    covered[0, 1] = places[0, 1]
    assert point_laws(covered, np.ones(2), SEGMENT)["permanence"].value < 1.0


def test_on_world_clips_shuffling_is_seen():
    objects = (ObjectFacts("red", "square", "moves", "right", "slowly"), ObjectFacts("green", "triangle", "floats"))
    whole, shuffled = [], []
    for seed in range(4):
        frames = world_clip(*objects, seed=seed, size=(48, 48)).frames
        order = np.random.default_rng(seed).permutation(T)
        whole.append([s.value for s in scores(frames).values()])
        shuffled.append([s.value for s in scores(frames[order]).values()])
    assert (np.mean(whole, 0) > 0.85).all()
    assert np.mean(shuffled, 0)[3] < np.mean(whole, 0)[3] - 0.3


def test_what_has_no_texture_or_no_time_says_so(texture):
    with pytest.raises(Undefined, match="0 corners to follow"):
        scores(np.full((T, 64, 64, 3), 90, np.uint8))
    with pytest.raises(Undefined, match="2 frames; laws of motion need at least 3"):
        scores(translating(texture)[:2])
    assert scores(translating(texture)[:3])["permanence"].value == 1.0


def test_size_does_not_matter_much_and_values_repeat_after_pickling(texture):
    frames = translating(texture)
    double = frames.repeat(2, 1).repeat(2, 2)
    for law, score in scores(double).items():
        assert score.value == pytest.approx(scores(frames)[law].value, abs=0.02)
    metric = pickle.loads(pickle.dumps(create("point_laws")))
    assert metric.score(view_of(frames)) == create("point_laws").score(view_of(frames))


@given(st.integers(0, 2**32 - 1), st.integers(4, 40), st.booleans())
def test_neighbours_are_the_first_of_a_stable_sort(seed, points, equally_far):
    rng = np.random.default_rng(seed)
    places = (
        rng.integers(0, 6, (points, 2)) / 6 if equally_far else rng.random((points, 2))
    )  # many distances are equal, or none
    places[rng.random(points) < 0.2] = np.nan
    here = np.isfinite(places[:, 0]) & (rng.random(points) < 0.8)
    far = np.linalg.norm(places[:, None] - places[None], axis=2)
    far[:, ~here] = np.inf
    np.fill_diagonal(far, np.inf)
    number = min(NEIGHBOURS, max(int(here.sum()) - 1, 1))
    nearest = np.argsort(np.nan_to_num(far, nan=1e9, posinf=1e9), axis=1, kind="stable")[:, :number]
    found = _neighbours(_distances(places, places), here)
    assert np.array_equal(found, np.sort(nearest, axis=1))


@pytest.mark.parametrize("points", [0, 1])
def test_a_segment_of_hardly_a_point_leaves_the_others_judged(points):
    still = np.random.default_rng(0).random((POINTS, 1, 2)).repeat(SEGMENT, 1)
    empty = still.copy()
    empty[points:] = np.nan
    scores = point_laws(np.stack([still, empty]), np.ones(2), 2 * SEGMENT - 1)
    assert all(score.value == 1.0 for score in scores.values())
