"""Geometry and drift of paths in feature space equal their closed forms, and of clips they see what adjacent frames do not."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import special_ortho_group

from reference_model.world import ObjectFacts
from sora_eval.features.image_text import ALL_FRAMES, FrameEmbeddings
from sora_eval.metrics.create import create
from sora_eval.metrics.feature_paths import WINDOW, drift, geometry
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined
from tests.conftest import view_of, world_clip

NAMES = ("speed_variation", "curvature", "acceleration", "residual")


def values(path):
    return {name: score.value for name, score in geometry(path).items()}


def test_a_straight_line_at_constant_speed_has_no_geometry():
    line = np.array([1.0, 2.0, 3.0]) + np.outer(np.arange(12), [3.0, 4.0, 0.0])
    assert values(line) == pytest.approx(dict.fromkeys(NAMES, 0.0), abs=1e-9)


def test_a_circle_turns_by_its_step():
    angle, radius = np.radians(10), 2.0
    t = angle * np.arange(20)
    got = values(radius * np.stack([np.cos(t), np.sin(t)], axis=1))
    step = 2 * radius * np.sin(angle / 2)
    expected = {"speed_variation": 0.0, "curvature": 10.0, "acceleration": (2 * np.sin(angle / 2) * step) ** 2, "residual": 0.0}
    assert got == pytest.approx(expected, abs=1e-9)  # three points of a circle span its plane


def test_a_line_at_changing_speed_is_straight_and_uneven():
    got = values(np.outer([0.0, 1.0, 3.0, 6.0, 10.0], [1.0, 0.0, 0.0]))
    assert got == pytest.approx(
        {"speed_variation": np.std([1, 2, 3, 4]), "curvature": 0.0, "acceleration": 1.0, "residual": 0.0}, abs=1e-9
    )


def test_the_residual_is_what_leaves_the_span_of_the_three_frames_before():
    path = np.array([[0.0, 0, 0], [1.0, 0, 0], [1.0, 1, 0], [7.0, -5, 4], [2.0, 2, 9]])
    score = geometry(path)["residual"]
    normal = np.cross(path[2] - path[1], path[3] - path[1])
    second = abs((path[4] - path[1]) @ normal) / np.linalg.norm(normal)
    assert score.value == pytest.approx((4.0 + second) / 2)
    assert score.detail["worst_frame"] == (3 if second < 4 else 4)


def test_windows_change_no_residual():
    path = np.random.default_rng(0).normal(size=(WINDOW + 40, 5))
    ends = [geometry(path[i : i + 4])["residual"].value for i in range(len(path) - 3)]
    assert geometry(path)["residual"].value == pytest.approx(np.mean(ends), rel=1e-9)


@given(st.integers(0, 10_000), st.integers(4, 12), st.integers(2, 6), st.floats(0.1, 50))
@settings(max_examples=40)
def test_rotations_and_shifts_change_nothing_and_scale_acts_by_its_power(seed, frames, width, scale):
    rng = np.random.default_rng(seed)
    path = rng.normal(size=(frames, width))
    rotated = path @ special_ortho_group.rvs(width, random_state=seed)
    expected = values(path)
    assert values(rotated) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert values(path + rng.normal(size=width) * 0.1) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    powers = dict(zip(NAMES, (1, 0, 2, 1), strict=True))
    assert values(scale * path) == pytest.approx({n: v * scale ** powers[n] for n, v in expected.items()}, rel=1e-6, abs=1e-9)


def test_too_few_frames_and_still_pictures_say_why():
    for few in (1, 2):
        with pytest.raises(Undefined, match=rf"{few} frames?; the geometry of a path needs at least 3"):
            geometry(np.eye(4)[:few])
    assert geometry(np.eye(4)[:3])["residual"].reason == "3 frames; a prediction needs at least 4"
    assert geometry(np.eye(4)[:3])["curvature"].value == pytest.approx(120.0)
    still = create("feature_geometry").score(view_of(np.full((6, 32, 32, 3), 7, np.uint8)))
    assert "stand still" in still["feature_geometry.curvature"].reason
    others = [s.value for n, s in still.items() if not n.endswith("curvature")]
    assert others == pytest.approx([0.0] * 3, abs=1e-5)


def test_a_jump_is_seen_by_every_statistic_and_its_frame_is_named():
    t = np.arange(17)[:, None] / 16
    smooth = np.hstack([t, t**2, np.zeros_like(t)])
    jump = smooth + np.where(np.arange(17)[:, None] >= 9, [0.0, 0.0, 0.5], 0.0)
    assert all(after > 2 * before for before, after in zip(values(smooth).values(), values(jump).values(), strict=True))
    assert geometry(jump)["residual"].detail["worst_frame"] == 9


def on_circle(degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_drift_of_a_steady_turn_by_hand():
    scores = drift(on_circle(2.0 * np.arange(17)), fps=8.0)
    for name, frames in (("eighth", 2), ("quarter", 4), ("half", 8)):
        assert scores[name].value == pytest.approx(1 - np.cos(np.radians(2.0 * frames)))
        assert scores[name].detail == {"frames_apart": frames}
    seconds, apart = np.arange(17) / 8, 1 - np.cos(np.radians(2.0 * np.arange(17)))
    assert scores["slope"].value == pytest.approx(np.polyfit(seconds, apart, 1)[0])
    assert scores["end"].value == pytest.approx(apart[-2:].mean())
    assert scores["end"].detail["seconds"][-1] == 2.0
    assert scores["end"].detail["to_first"][-1] == pytest.approx(apart[-1], abs=1e-6)
    lags = scores["slope"].detail
    assert lags["seconds_apart"] == [0.125, 0.25, 0.5, 1.0, 2.0]
    assert lags["mean"] == sorted(lags["mean"])


def test_a_share_of_the_time_below_half_a_frame_has_no_value():
    scores = drift(on_circle([0.0, 5.0, 10.0]), fps=8.0)
    assert scores["half"].value == pytest.approx(1 - np.cos(np.radians(5)))
    assert scores["eighth"].value is scores["quarter"].value is None
    assert "3 frames; a frame is more than this share" in scores["eighth"].reason
    with pytest.raises(Undefined, match="1 frame; drift needs at least 2"):
        drift(on_circle([0.0]), fps=8.0)


@given(st.integers(2, 40), st.floats(1, 60))
@settings(max_examples=30)
def test_slope_is_per_second(frames, fps):
    path = on_circle(np.random.default_rng(frames).uniform(0, 180, frames))
    one, other = drift(path, fps), drift(path, 2 * fps)
    assert other["slope"].value == pytest.approx(2 * one["slope"].value, rel=1e-9, abs=1e-12)
    assert other["end"].value == one["end"].value


def test_adjacent_frames_prefer_a_clip_that_morphs_and_drift_does_not():
    start = world_clip(ObjectFacts("blue", "square", "rests"), size=(32, 32)).frames[0].astype(float)
    end = world_clip(ObjectFacts("yellow", "circle", "moves", "right", "slowly"), seed=4, size=(32, 32)).frames[8].astype(float)
    share = np.linspace(0, 1, 129)[:, None, None, None]
    morphing = ((1 - share) * start + share * end).round().astype(np.uint8)  # another scene, by steps that nobody sees
    grain = np.random.default_rng(0).normal(0, 15, (129, *start.shape))
    staying = (start + grain).clip(0, 255).round().astype(np.uint8)  # one scene throughout, with grain
    metric = create("feature_drift")
    slow, same = (metric.score(view_of(f)) for f in (morphing, staying))

    def adjacent(scores):
        return scores["feature_drift.slope"].detail["mean"][0]

    assert adjacent(slow) < adjacent(same) / 3  # the wrong way round
    for name in ("end", "half", "slope"):
        assert slow[f"feature_drift.{name}"].value > 3 * abs(same[f"feature_drift.{name}"].value)


@pytest.mark.parametrize("name", ["feature_geometry", "feature_drift"])
def test_the_features_are_those_of_the_consistency_metrics(name):
    assert create(name).extractor.signature == create("subject_consistency").extractor.signature


def test_a_long_clip_is_not_copied_for_its_network(monkeypatch):
    clip = Clip(np.zeros((200, 8, 8, 3), np.uint8), 24.0)
    features = FrameEmbeddings("world", ALL_FRAMES)
    shared = []

    def embed(frames):
        shared.append(np.shares_memory(frames, clip.frames))
        return np.zeros((len(frames), 2), np.float32)

    monkeypatch.setattr(features.model, "embed_images", embed)
    assert features(clip).shape == (200, 2)
    assert shared == [True]


def test_a_path_of_many_minutes_takes_memory_for_windows_of_it_only():
    path = np.random.default_rng(0).normal(size=(8 * 60 * 24, 64)).astype(np.float32)  # eight minutes
    path /= np.linalg.norm(path, axis=1, keepdims=True)
    tracemalloc.start()
    drift(path, 24.0)
    geometry(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.nbytes / 2
