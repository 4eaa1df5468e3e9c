"""Corruptions are seeded, leave the clip alone at strength 0, and grow with strength."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference_model.world import ObjectFacts
from sora_eval.features.object_tracks import BlobTracks, tracks
from sora_eval.generators.world_corruptions import damaged_frames
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined
from sora_eval.video.corruptions import CORRUPTIONS, STRENGTHS, TIME_MAPS, TRIVIAL, corrupt, generator_of, hit, trivial
from tests.conftest import world_clip

PIXEL = [n for n, c in CORRUPTIONS.items() if c.kind == "pixel"]
TIME = [n for n, c in CORRUPTIONS.items() if c.kind == "time"]
# Mixtures and sums with a fixed field grow pixel by pixel, up to rounding; filters and warps grow on clips with smooth content.
BY_PIXEL = ["noise", "jpeg_blocks", "colour_shift", "flicker"]
FALLING, SLIDING = ObjectFacts("red", "circle", "falls"), ObjectFacts("blue", "square", "slides", "right", "quickly")

videos = arrays(np.uint8, st.tuples(st.integers(2, 6), st.integers(8, 20), st.integers(8, 20), st.just(3)))


def distance(a, b):
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.mark.parametrize("name", BY_PIXEL)
@given(frames=videos, seed=st.integers(0, 99))
@settings(max_examples=15)
def test_no_pixel_comes_back_as_damage_grows(name, frames, seed):
    clip = Clip(frames, 8.0)
    last = np.zeros(frames.shape)
    for strength in STRENGTHS:
        change = np.abs(corrupt(clip, name, strength, "k", seed).frames.astype(int) - frames)
        assert (change >= last - 1).all()  # rounding to bytes
        last = change


@pytest.mark.parametrize("name", PIXEL)
def test_damage_to_world_clips_grows_with_strength(name):
    for seed in range(3):
        clip = Clip(world_clip(FALLING, SLIDING, seed=seed).frames, 8.0)
        assert corrupt(clip, name, 0.0, "k") is clip
        damage = [distance(corrupt(clip, name, s, "k").frames, clip.frames) for s in STRENGTHS]
        assert damage[0] > 0
        assert damage == sorted(damage)
        assert len(set(damage)) == len(damage)


@pytest.mark.parametrize("name", [*PIXEL, *TIME])
def test_equal_seeds_and_keys_give_equal_clips(name, rng):
    clip = Clip(rng.integers(0, 256, (9, 16, 20, 3), dtype=np.uint8), 8.0)
    first = corrupt(clip, name, 0.6, "a", 1)
    assert np.array_equal(first.frames, corrupt(clip, name, 0.6, "a", 1).frames)
    assert first.fps == clip.fps
    assert first.frames.dtype == np.uint8
    if name in ("noise", "local_warp", "frame_drop", "frame_shuffle"):
        assert not np.array_equal(first.frames, corrupt(clip, name, 0.6, "b", 1).frames)


@given(length=st.integers(1, 40), seed=st.integers(0, 99), strengths=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_time_maps_are_nested(length, seed, strengths):
    weak, strong = sorted(strengths)
    for name in ("freeze", "frame_drop", "frame_shuffle", "speed_change"):
        a, b = (TIME_MAPS[name](length, s, np.random.default_rng(seed)) for s in (weak, strong))
        assert ((b >= 0) & (b < length)).all()
        assert np.array_equal(TIME_MAPS[name](length, 0.0, np.random.default_rng(seed)), np.arange(length))
        if name == "frame_drop":
            assert set(b) <= set(a)
            assert {0, length - 1} <= set(b)
        elif name == "frame_shuffle":
            moved = [{i for i in range(length) if m[i] != i} for m in (a, b)]
            assert moved[0] <= moved[1]
            assert sorted(b) == list(range(length))
        else:
            assert (a >= b).all()  # held longer, or shown later
            assert (np.diff(b) >= 0).all()


def test_full_strength_is_what_it_says():
    def full(name):
        return TIME_MAPS[name](17, 1.0, np.random.default_rng(0))

    assert (full("freeze") == 0).all()
    assert len(full("frame_drop")) == 11
    assert (full("frame_shuffle") != np.arange(17)).all()
    assert list(full("speed_change")[:5]) == [0, 0, 1, 1, 2]
    assert list(full("reversal")) == list(range(16, -1, -1))


@given(n=st.integers(1, 40), strengths=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_larger_share_hits_the_same_clips_and_more(n, strengths):
    order = generator_of("reversal", "order").permutation(n)
    weak, strong = (hit(order, s) for s in sorted(strengths))
    assert (weak <= strong).all()
    assert hit(order, 1.0).all()
    assert not hit(order, 0.0).any()


def scene(name, strength, *objects, size=(32, 32), seed=0):
    facts = world_clip(*objects).scene.facts
    rng = generator_of(name, "k", 0)
    return damaged_frames(facts, *size, 17, [seed], name, strength, rng)


@pytest.mark.parametrize("name", [n for n, c in CORRUPTIONS.items() if c.kind == "scene"])
def test_scenes_at_strength_0_are_the_clean_ones(name):
    clean = world_clip(FALLING, size=(32, 32), seed=0)
    assert np.array_equal(scene(name, 0.0, FALLING), clean.frames)
    weak, strong = (distance(scene(name, s, FALLING), clean.frames) for s in (0.4, 1.0))
    assert 0 < weak < strong or name == "teleport"  # which comes back now and then


def heights(frames):
    return tracks(BlobTracks()(Clip(frames, 8.0)))["red"].position[:, 1]


def test_a_vanished_object_is_gone_from_the_last_part():
    seen = tracks(BlobTracks()(Clip(scene("object_vanish", 0.4, FALLING), 8.0)))["red"].seen
    assert list(seen) == [True] * 10 + [False] * 7
    assert not tracks(BlobTracks()(Clip(scene("object_vanish", 1.0, FALLING), 8.0)))


def test_an_object_jumps_as_often_as_asked():
    for strength in STRENGTHS:
        frames = scene("teleport", strength, FALLING, size=(48, 48))
        x = tracks(BlobTracks()(Clip(frames, 8.0)))["red"].position[:, 0]
        assert (np.abs(np.diff(x)) > 9).sum() == round(5 * strength)


def test_weaker_gravity_is_a_fall_with_that_gravity():
    for strength in (0.2, 0.6, 1.0):
        y = heights(scene("gravity_changed", strength, FALLING, size=(48, 48)))[:12]
        fitted = 2 * np.polyfit(np.arange(12.0), y, 2)[0]
        assert fitted == pytest.approx(0.3 * (1 - strength), abs=0.01)


def test_objects_sink_through_the_floor_and_only_from_there():
    clean, sunk = heights(scene("pass_through_floor", 0.0, FALLING)), heights(scene("pass_through_floor", 0.2, FALLING))
    landed = int(np.argmax(clean > clean.max() - 0.1))
    assert np.allclose(clean[:landed], sunk[:landed], atol=0.05)
    assert sunk[-1] > clean[-1] + 1


def test_scenes_that_have_nothing_to_damage_say_so():
    still = ObjectFacts("red", "circle", "floats")
    with pytest.raises(Undefined, match="nothing falls"):
        scene("gravity_changed", 1.0, still)
    with pytest.raises(Undefined, match="nothing touches a floor"):
        scene("pass_through_floor", 1.0, still)


def test_trivial_clips_keep_shape_and_rate(rng):
    clip = Clip(rng.integers(0, 256, (9, 16, 20, 3), dtype=np.uint8), 5.0)
    made = {name: trivial(clip, name, "k") for name in TRIVIAL}
    assert {(m.frames.shape, m.fps) for m in made.values()} == {(clip.frames.shape, 5.0)}
    assert made["real"] is clip
    assert (np.diff(made["static"].frames.astype(int), axis=0) == 0).all()
    assert made["black"].frames.max() == 0
    assert np.array_equal(made["reversed"].frames[::-1], clip.frames)
    assert sorted(f.tobytes() for f in made["shuffled"].frames) == sorted(f.tobytes() for f in clip.frames)
    with pytest.raises(ValueError, match="known: real"):
        trivial(clip, "blue", "k")
