"""First frames against the given ones, and what follows them against the world's exact continuation."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from reference_model.world import Facts, ObjectFacts
from sora_eval.features.view import ClipView
from sora_eval.generators.asking import request_of
from sora_eval.generators.reference import world_frames
from sora_eval.metrics.create import create
from sora_eval.metrics.first_frames import distances
from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.runs.rows import ScoreRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import SuiteError, Undefined
from tests.conftest import view_of


def test_equal_frames_have_no_distance_and_black_and_white_the_largest():
    black, white = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 255, np.uint8)
    same = distances(white, white)
    assert same["rmse"].value == 0.0
    assert same["dssim"].value == pytest.approx(0.0, abs=1e-9)
    assert "psnr_db" not in same["rmse"].detail  # it is infinite
    apart = distances(black, white)
    assert apart["rmse"].value == 1.0
    # Without variance SSIM is c1 / (mean^2 + c1) with c1 = 0.01^2.
    assert apart["dssim"].value == pytest.approx((1 - 1e-4 / (1 + 1e-4)) / 2)


def test_ssim_is_that_of_its_paper(rng):
    a = gaussian_filter(rng.normal(size=(40, 48, 3)), (2, 2, 0))
    a = ((a - a.min()) / np.ptp(a) * 255).astype(np.uint8)
    b = (a * 0.7 + rng.normal(0, 20, a.shape)).clip(0, 255).astype(np.uint8)
    x, y = a / 255, b / 255

    def mean(z):  # Wang et al. 2004: 11 px window, sigma 1.5; pixels whose window leaves the picture do not count
        return gaussian_filter(z, (1.5, 1.5, 0), truncate=5 / 1.5)[5:-5, 5:-5]

    mx, my, c1, c2 = mean(x), mean(y), 0.01**2, 0.03**2
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    ssim = ((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()
    scores = distances(b[None], a[None])
    assert scores["dssim"].value == pytest.approx((1 - ssim) / 2, abs=1e-9)
    assert scores["rmse"].value == pytest.approx(np.sqrt(np.square(x - y).mean()))
    assert scores["rmse"].detail["psnr_db"] == pytest.approx(-20 * np.log10(scores["rmse"].value), abs=1e-3)


def test_only_as_many_frames_count_as_were_given():
    frames = np.random.default_rng(0).integers(0, 255, (9, 16, 16, 3), dtype=np.uint8)
    metric = create("first_frame_fidelity")
    assert metric.score(view_of(frames, given=frames[:5]))["first_frame_fidelity.rmse"].value == 0.0
    half = np.concatenate([frames[:4], frames[5:6]])
    worst = metric.score(view_of(frames, given=half))["first_frame_fidelity.rmse"]
    assert worst.detail["frames"][:4] == [0.0] * 4
    assert worst.value == pytest.approx(worst.detail["frames"][4] / 5, abs=1e-6)
    small = metric.score(view_of(frames[:, :8, :8], given=frames[:1, :8, :8]))
    assert small["first_frame_fidelity.dssim"].reason == "SSIM needs 11 px on both sides"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "was given no first frames"),
        (np.zeros((1, 8, 16, 3), np.uint8), "the clip is of 16x16 px, its given first frames of 16x8"),
        (np.zeros((9, 16, 16, 3), np.uint8), "the clip has 4 frames and was given 9"),
    ],
)
@pytest.mark.parametrize("name", ["first_frame_fidelity", "continuation"])
def test_without_first_frames_that_fit_there_is_no_score(name, given, reason):
    with pytest.raises(Undefined, match=reason):
        create(name).score(view_of(np.zeros((4, 16, 16, 3), np.uint8), given=given))


def cases(count=64):
    suite = load_suite("continue")
    return suite, [c for c in suite.cases if c.seed == 0][:count]


def view(frames, case, suite, offset=0):
    return ClipView(Clip(np.ascontiguousarray(frames), 8.0), case, request=lambda: request_of(case, suite, offset))


def scores_of(frames, case, suite, offset=0):
    got = create("continuation").score(view(frames, case, suite, offset))
    return {n.partition(".")[2]: s for n, s in got.items()}


def test_the_world_goes_on_as_the_world_does():
    suite, chosen = cases(32)
    known = set()
    for case in chosen:
        for name, score in scores_of(world_frames(request_of(case, suite)), case, suite).items():
            if score.value is not None:
                known.add(name)
                assert score.value == (0.0 if name == "position_error" else 1.0), (case.id, name)
    assert known >= {"permanence", "continuity", "rigidity", "free_fall", "collision", "support", "position_error"}


def test_other_seeds_have_other_scenes_and_the_truth_follows_them():
    suite, (case, *_) = cases(1)
    frames = world_frames(request_of(case, suite, 7))
    assert scores_of(frames, case, suite, 7)["position_error"].value == 0.0
    assert scores_of(frames, case, suite)["position_error"].value > 0.5


def falls(suite, chosen):
    """A case in which something still falls after the given frames."""
    return next(c for c in chosen if scores_of(world_frames(request_of(c, suite)), c, suite)["free_fall"].value is not None)


def test_what_stops_or_vanishes_after_the_given_frames_leaves_the_truth():
    suite, chosen = cases(32)
    case = falls(suite, chosen)
    true = world_frames(request_of(case, suite))
    stopped = np.concatenate([true[:5], true[4:5].repeat(12, 0)])
    seen = scores_of(stopped, case, suite)
    assert seen["free_fall"].value < 1
    assert seen["permanence"].value == seen["continuity"].value == 1.0
    assert 0.5 < seen["position_error"].value < 9.0
    assert seen["position_error"].detail["px_by_frame"][0] < seen["position_error"].detail["px_by_frame"][-1]
    empty = true.copy()
    empty[5:] = true.min()
    gone = scores_of(empty, case, suite)
    assert gone["position_error"].value == pytest.approx(9.0)  # the diameter
    assert gone["permanence"].value == pytest.approx(1 / 13)  # the last given frame
    assert gone["permanence"].detail["broken_frames"] == list(range(5, 17))


def test_a_jump_at_the_seam_is_seen_and_the_given_frames_excuse_nothing():
    suite, chosen = cases(32)
    case = next(c for c in chosen if len(c.prompt.facts["objects"]) == 1)
    true = world_frames(request_of(case, suite))
    jumped = np.concatenate([true[:5], np.roll(true[5:], 14, axis=2)])
    assert scores_of(jumped, case, suite)["continuity"].detail["broken_frames"][0] == 5
    # Whatever the clip shows in the place of the given frames, the laws begin from these.
    other = np.concatenate([true[:5][:, ::-1], true[5:]])
    assert scores_of(other, case, suite)["continuity"].value == 1.0


def test_first_frames_that_are_not_the_worlds_have_no_truth():
    suite, (case, *_) = cases(1)
    frames = world_frames(request_of(case, suite))
    shown = view(frames, case, suite)
    other = replace(request_of(case, suite), first_frames=frames[:5, ::-1].copy())
    shown._request = lambda: other
    with pytest.raises(Undefined, match="not those of the world's clip"):
        create("continuation").score(shown)
    with pytest.raises(Undefined, match="no facts"):
        create("continuation").score(view_of(frames, given=frames[:1]))


def test_scores_merge(rng):
    suite, chosen = cases(6)
    views = [view(world_frames(request_of(c, suite)) // 2 * 2, c, suite) for c in chosen]
    whole, parts = create("continuation"), [create("continuation") for _ in range(2)]
    whole.update(views)
    for part, some in zip(parts, (views[:1], views[1:]), strict=True):
        part.update(some)
    parts[0].merge_state(parts[1])
    assert torch.allclose(whole.compute(), parts[0].compute(), equal_nan=True)


SUITE = """
[suite]
id = "s"
[prompts]
file = "p.jsonl"
[axes]
shapes = ["32x32"]
frames = [9]
[generate]
first_frames = 5
[metrics.first_frame_fidelity]
[metrics.continuation]
"""
GENERATOR = """
import numpy as np
def held(request):
    return request.first_frames[-1:].repeat(request.num_frames, 0)
held.fingerprint = "held"
held.capabilities = {"first_frames": (1, 99)}
def blind(request):
    return np.zeros((request.num_frames, request.height, request.width, 3), np.uint8)
blind.fingerprint = "blind"
"""


def small_suite(folder, monkeypatch):
    facts = Facts((ObjectFacts("blue", "square", "moves", "right", "quickly"),)).to_json()
    (folder / "p.jsonl").write_text(json.dumps({"id": "a", "text": "a blue square", "facts": facts}) + "\n")
    (folder / "s.toml").write_text(SUITE)
    (folder / "own_continuation.py").write_text(GENERATOR)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    return load_suite(folder / "s.toml")


@pytest.mark.parametrize("offset", [0, 100_003])
def test_a_run_is_scored_against_the_frames_that_its_own_seeds_were_given(tmp_path, monkeypatch, offset):
    suite = small_suite(tmp_path, monkeypatch)
    run = evaluate.run(suite, "world", tmp_path / "runs", seed_offset=offset)
    values = {r.metric: r.value for r in run.rows(ScoreRow)}
    assert values["first_frame_fidelity.rmse"] == values["continuation.position_error"] == 0.0


def test_a_generator_that_begins_from_no_frames_is_refused_in_one_sentence(tmp_path, monkeypatch):
    suite = small_suite(tmp_path, monkeypatch)
    with pytest.raises(SuiteError, match="begins from none; use an image-to-video generator, or leave them out"):
        evaluate.run(suite, "python:own_continuation:blind", tmp_path / "runs")
