"""Constants are read back from exact paths exactly, from clips of the world within stated errors, and intervals cover."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from reference_model.world import Constants, Facts, ObjectFacts, make_clip
from reference_model.world.unseen import sample_unseen
from sora_eval.features.object_tracks import BlobTracks
from sora_eval.metrics.create import create
from sora_eval.metrics.physics import fits
from sora_eval.metrics.physics.fits import first, second
from sora_eval.metrics.physics.parameters import UNITS, parameters
from sora_eval.metrics.physics.scene import scene_of
from tests.conftest import view_of

TIME = np.arange(12.0)
# What docs/metrics.md states: of rendered clips with all their frames.
ERRORS = {"gravity": 0.005, "restitution": 0.015, "friction": 0.005, "drag": 0.005, "stiffness": 0.002}


@given(st.floats(-1, 1), st.floats(0, 0.3), st.floats(-3, 3), st.floats(0.2, 2))
@settings(max_examples=60)
def test_an_acceleration_under_drag_is_read_back(a, drag, speed, scale):
    runs = [(TIME + s, 5.0 + speed * first(TIME, drag) + scale * a * second(TIME, drag)) for s in (0.0, 7.0)]
    assert fits.acceleration(runs, drag, scale).value == pytest.approx(a, abs=1e-6)


@given(st.floats(0.0, 0.3), st.floats(0.5, 3))
@settings(max_examples=30)
def test_drag_is_read_back(drag, speed):
    assert fits.drag_of([(TIME, 3.0 + speed * first(TIME, drag))]).value == pytest.approx(drag, abs=1e-5)


@given(st.floats(0.2, 1.0), st.floats(0.1, 0.5), st.floats(0.05, 0.95), st.floats(0, 0.05))
@settings(max_examples=30)
def test_a_restitution_is_read_back_wherever_between_two_frames_the_impact_is(e, g, share, drag):
    before, after, moment, v = np.arange(7.0), np.arange(7.0, 13.0), 6 + share, 2.0
    paths = [(t, 20 + f * v * first(t - moment, drag) + g * second(t - moment, drag)) for t, f in ((before, 1.0), (after, -e))]
    assert fits.restitution(*paths, drag, forced=True, resting=False).value == pytest.approx(e, abs=1e-4)


@given(st.floats(0.05, 1.0), st.floats(0, 6), st.floats(2, 10))
@settings(max_examples=40)
def test_a_stiffness_is_read_back(kappa, phase, height):
    x = 9 + height * np.cos(np.sqrt(kappa) * TIME + phase)
    assert fits.stiffness(TIME, x).value == pytest.approx(kappa, rel=1e-3)


@given(st.floats(0.1, 0.6), st.floats(8, 25), st.floats(0.2, 1.0), st.floats(0, 0.05))
@settings(max_examples=15, deadline=None)
def test_g_of_a_pendulum_is_read_back(g, length, start, drag):
    exact = solve_ivp(
        lambda _, y: [y[1], -g / length * np.sin(y[0]) - drag * y[1]],
        (0, 11),
        [start, 0.0],
        t_eval=TIME,
        rtol=1e-10,
        atol=1e-10,
    )
    assert fits.pendulum(TIME, exact.y[0], length, drag).value == pytest.approx(g, rel=1e-3)


@cache
def clips(seed=0, count=27, size=(32, 32)):
    """Scenes of the fold "unseen" with their clips: three of every kind."""
    scenes = [Facts.from_json(row["facts"]) for row in sample_unseen(count, seed)]
    return [make_clip(f, *size, 17, np.random.default_rng([seed, i])) for i, f in enumerate(scenes)]


def measured(clip):
    return scene_of(view_of(clip.frames, clip.scene.facts), BlobTracks())


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([(32, 32), (48, 48)]))
def test_constants_of_the_world_are_read_back_from_its_clips(seed, size):
    for i, row in enumerate(sample_unseen(18, seed)):
        facts = Facts.from_json(row["facts"])
        scene = measured(make_clip(facts, *size, 17, np.random.default_rng([seed, i])))
        for name, found in parameters(scene).items():
            if found.fit is not None:
                # A short flight determines its constant less well, and says so.
                allowed = max(ERRORS[name], 3 * found.fit.error)
                assert abs(found.fit.value - scene.truth(name)) <= allowed, (name, row)


def test_every_constant_is_covered_by_the_scenes():
    known = {(n, c.scene.facts.objects[0].motion) for c in clips() for n, f in parameters(measured(c)).items() if f.fit}
    assert {n for n, _ in known} == set(UNITS)
    assert known >= {
        ("gravity", "bounces"),
        ("gravity", "swings"),
        ("gravity", "descends"),
        ("friction", "slides"),
        ("drag", "moves"),
        ("stiffness", "oscillates"),
        ("restitution", "bounces"),
    }


def trembling(scene, rng, pixels):
    """The scene with noise of this many px on all places."""
    objects = []
    for t in scene.objects:
        noise = rng.normal(0, pixels, t.track.position.shape)
        objects.append(replace(t, track=replace(t.track, position=t.track.position + noise)))
    return replace(scene, objects=tuple(objects))


@pytest.mark.parametrize("pixels", [0.05, 0.2])
def test_intervals_cover_the_truth_as_often_as_they_say(pixels):
    rng, hits = np.random.default_rng(1), {name: [] for name in UNITS}
    for scene in [measured(c) for c in clips()]:
        for _ in range(12):
            noisy = trembling(scene, rng, pixels)
            for name, found in parameters(noisy).items():
                if found.fit is not None:
                    low, high = found.fit.interval
                    hits[name].append(low <= scene.truth(name) <= high)
    every = np.concatenate(list(hits.values()))
    assert len(every) > 250
    # Of n independent intervals at 95 %, the share that covers is within 3.5 standard errors; a little caution is fine.
    assert 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / len(every)) <= every.mean() <= 0.995
    assert all(np.mean(h) >= 0.87 for h in hits.values() if len(h) >= 24), {n: np.mean(h) for n, h in hits.items()}


def test_intervals_cover_the_truth_of_rendered_clips():
    hits = []
    for clip in [*clips(1), *clips(2, size=(48, 48))]:
        scene = measured(clip)
        for name, found in parameters(scene).items():
            if found.fit is not None:
                low, high = found.fit.interval
                hits.append(low <= scene.truth(name) <= high)
    assert np.mean(hits) >= 0.9
    assert len(hits) > 60


def bouncing(size=(32, 32)):
    facts = Facts((ObjectFacts("blue", "circle", "bounces"),), constants=Constants())
    return make_clip(facts, *size, 17, np.random.default_rng(0))


def scores(frames, facts, given=None):
    view = view_of(frames, facts, given=given)
    return {n.partition(".")[2]: s for n, s in create("fitted_parameters").score(view).items()}


def test_the_detail_has_interval_and_truth_and_the_error_is_their_distance():
    clip = bouncing()
    got = scores(clip.frames, clip.scene.facts)
    g, off = got["gravity"], got["gravity_error"]
    low, high = g.detail["interval"]
    assert low < g.value < high
    assert g.detail["truth"] == 0.3
    assert off.value == pytest.approx(abs(g.value - 0.3))
    assert got["restitution"].value == pytest.approx(0.8, abs=0.01)


def test_without_stated_constants_there_is_a_value_and_no_error():
    clip = make_clip(Facts((ObjectFacts("blue", "circle", "bounces"),)), 32, 32, 17, np.random.default_rng(0))
    got = scores(clip.frames, clip.scene.facts)
    assert got["gravity_error"].value < 0.005  # g is stated by every scene
    assert got["restitution"].value == pytest.approx(0.8, abs=0.01)
    assert "do not state" in got["restitution_error"].reason


def test_what_hangs_in_the_air_has_no_g_and_what_stays_on_the_floor_no_restitution():
    clip = bouncing()
    still = scores(clip.frames[:1].repeat(17, 0), clip.scene.facts)
    assert still["gravity"].value == pytest.approx(0.0, abs=1e-3)
    assert still["gravity_error"].value == pytest.approx(0.3, abs=1e-3)
    dead = make_clip(Facts((ObjectFacts("blue", "circle", "falls"),)), 32, 32, 24, np.random.default_rng(0))
    assert scores(dead.frames, clip.scene.facts)["restitution"].value == pytest.approx(0.0, abs=0.02)


def test_given_frames_do_not_count():
    clip = bouncing((48, 48))
    damaged = clip.frames.copy()
    damaged[:5] = damaged[:1]  # it hangs in the air while it is given
    one, other = (scores(f, clip.scene.facts, clip.frames[:5]) for f in (clip.frames, damaged))
    assert one["gravity"].value == other["gravity"].value
    assert abs(scores(damaged, clip.scene.facts)["gravity"].value - 0.3) > 0.01


@pytest.mark.parametrize(
    ("motion", "name", "reason"),
    [
        ("moves", "gravity", "nothing has weight"),
        ("moves", "friction", "nothing slides on a floor"),
        ("slides", "gravity", "no flight of 5 frames"),
        ("bounces", "drag", "no object moves over 3 px"),
        ("bounces", "stiffness", "nothing hangs on a spring"),
    ],
)
def test_what_a_clip_does_not_cover_says_why(motion, name, reason):
    way = {} if motion == "bounces" else {"direction": "right", "speed": "slowly"}
    facts = Facts((ObjectFacts("blue", "circle", motion, **way),), constants=Constants())
    clip = make_clip(facts, 48, 48, 9, np.random.default_rng(0))
    got = scores(clip.frames, facts)
    assert got[name].value is got[f"{name}_error"].value is None
    assert reason in got[name].reason
    gone = scores(np.full_like(clip.frames, 10), facts)
    assert all(s.value is None and s.reason for s in gone.values())


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), kind=st.integers(0, 8), lost=st.floats(0, 0.5))
def test_whatever_is_tracked_has_finite_constants_or_none(seed, kind, lost):
    rng = np.random.default_rng(seed)
    scene = trembling(measured(clips()[kind]), rng, 10.0 ** rng.uniform(-1, 2))
    objects = []
    for t in scene.objects:
        gone = rng.random(scene.num_frames) < lost
        blobs = np.where(gone, 0, t.track.blobs)
        position = np.where(gone[:, None], np.nan, t.track.position)
        objects.append(replace(t, track=replace(t.track, position=position, blobs=blobs)))
    for found in parameters(replace(scene, objects=tuple(objects))).values():
        assert found.reason if found.fit is None else np.isfinite([found.fit.value, *found.fit.interval]).all()


def test_the_least_scatter_is_the_trackers_in_nine_of_ten_clips():
    """Places against the truth, less a constant and a linear part, which are no error of a constant of motion."""
    scatter = []
    for clip in clips():
        off = measured(clip).objects[0].track.position - clip.trajectory.positions[:, 0]  # (T, 2)
        line = np.stack([np.ones(17), np.arange(17.0)], 1)
        scatter.append(np.sqrt(np.square(off - line @ np.linalg.lstsq(line, off, rcond=None)[0]).mean()))
    assert fits.TRACKER / 3 < np.quantile(scatter, 0.9) < 1.5 * fits.TRACKER
