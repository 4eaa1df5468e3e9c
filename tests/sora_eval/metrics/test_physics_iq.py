"""Physics-IQ's masks and scores equal those worked out by hand, and its file names lead to the right takes."""

import json
import pickle

import cv2
import numpy as np
import pytest

from sora_eval.features.motion_masks import with_masks
from sora_eval.features.view import ClipView
from sora_eval.metrics.create import create
from sora_eval.metrics.physics_iq import masks as masks_module
from sora_eval.metrics.physics_iq.masks import MaskedClip, through_codec
from sora_eval.metrics.physics_iq.measures import Measures, iou, measure, original_score, verified_score
from sora_eval.metrics.physics_iq.takes import Takes, parse_name
from sora_eval.pipeline import run as evaluate
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.runs.rows import MetricRow, ScoreRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import ClipError, Undefined
from sora_eval.video.codec import write_clip

FPS = 4
FRAMES = 5 * FPS
SIZE = (64, 96)


def masked_clip(frames, size=None, protocol="published", shipped=None):
    return masks_module.masked_clip(frames, FPS, protocol, size, shipped)


def moving(speed, start=8, side=24, frames=FRAMES, size=SIZE, noise=0):
    """A bright square that moves right over a dark ground."""
    out = np.full((frames, *size, 3), 20, np.uint8)
    for t in range(frames):
        x = int(start + speed * t)
        out[t, 16 : 16 + side, x : x + side] = 220
    rng = np.random.default_rng(noise)
    return (out + rng.integers(0, 3, out.shape) * bool(noise)).astype(np.uint8)


# Masks


def test_masks_follow_the_running_average_step_by_step():
    """A square of 40 px turns from 0 to 100 in frame 2 and stays: |g - average| is 70, 49, 34.3, 24, 16.8, 11.8, 8.2."""
    frames = np.zeros((10, 60, 60, 3), np.uint8)
    frames[2:, 10:50, 10:50] = 100
    masks = [m for _, m in with_masks(frames)]
    assert [bool(m[30, 30]) for m in masks] == [False, False, True, True, True, True, True, True, False, False]
    assert set(np.unique(masks)) == {0, 255}
    assert not masks[3][:6].any()
    assert not masks[3][54:].any()


def test_what_changes_by_ten_levels_at_most_and_what_is_smaller_than_the_opening_is_no_motion():
    frames = np.zeros((3, 40, 40, 3), np.uint8)
    frames[1:, 5:35, 5:35] = 14  # 0.7 x 14 = 9.8
    assert not any(m.any() for _, m in with_masks(frames))
    frames[1:, 5:35, 5:35] = 16  # 0.7 x 16 = 11.2
    assert any(m.any() for _, m in with_masks(frames))
    dots = np.zeros((3, 40, 40, 3), np.uint8)
    dots[1:, 20, 20] = 255  # blurred and thresholded it is narrower than 5 px
    assert not any(m.any() for _, m in with_masks(dots))


def test_the_average_takes_the_frame_in_before_it_is_compared():
    """With weight 0.3 after the difference a step of 12 levels would be seen in its first frame; before it, 8.4 is not."""
    frames = np.zeros((3, 40, 40, 3), np.uint8)
    frames[1:] = 12
    assert not any(m.any() for _, m in with_masks(frames))


def published_masks(frames, size, folder):
    """The published way, with OpenCV alone: a video of masks (mp4v, grey), read back, resized, thresholded by channel."""
    path = str(folder / "masks.mp4")
    height, width = frames.shape[1:3]
    out = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), FPS, (width - width % 2, height - height % 2), isColor=False)
    grays = [cv2.GaussianBlur(cv2.cvtColor(f[..., ::-1], cv2.COLOR_BGR2GRAY), (5, 5), 0) for f in frames]
    average = grays[0].astype(float)
    out.write(np.zeros_like(grays[0]))
    for gray in grays[1:]:
        cv2.accumulateWeighted(gray, average, 0.3)
        mask = cv2.threshold(cv2.absdiff(gray, cv2.convertScaleAbs(average)), 10, 255, cv2.THRESH_BINARY)[1]
        for step in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE):
            mask = cv2.morphologyEx(mask, step, np.ones((5, 5), np.uint8))
        out.write(mask)
    out.release()
    capture, read = cv2.VideoCapture(path), []
    while (got := capture.read())[0]:
        read.append(cv2.resize(got[1], size) > 127)
    return np.array(read)


def test_published_masks_go_through_the_codec_and_direct_ones_do_not(tmp_path):
    pair, size = [moving(2.2, noise=1), moving(2.7, noise=2)], (24, 16)
    published, direct = ([masked_clip(f, size, p) for f in pair] for p in ("published", "direct"))
    by_hand = [published_masks(f, size, tmp_path) for f in pair]
    for own, theirs in zip(published, by_hand, strict=True):
        assert np.array_equal(own.masks[..., None].repeat(3, -1), theirs)
    both, either = (op(*by_hand).sum((1, 2, 3)) for op in (np.logical_and, np.logical_or))
    ious = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    assert measure(*published).spatiotemporal_iou == pytest.approx(np.mean(ious))
    assert measure(*published).spatial_iou == pytest.approx(iou(*(m.max(0) for m in by_hand)))
    assert measure(*published).weighted_spatial_iou == pytest.approx(iou(*(m.mean(0) for m in by_hand)))
    assert measure(*published).mse == measure(*direct).mse
    assert not np.array_equal(published[0].masks, direct[0].masks)


def test_the_codec_gives_the_same_masks_again_and_takes_odd_sides():
    masks = [np.asarray(m) for _, m in with_masks(moving(2, size=(65, 97)))]
    one, two = (np.array(list(through_codec(masks, 29.97))) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.shape == (FRAMES, 64, 96)
    assert list(through_codec([], 30)) == []


# Measures and scores, by hand


def by_hand(masks):
    masks = np.array(masks, bool)
    return MaskedClip(np.zeros((*masks.shape, 3), np.uint8), masks)


def test_measures_of_hand_made_masks():
    a = by_hand([[[0, 0, 0, 0]], [[1, 1, 0, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 0]]])
    b = by_hand([[[0, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 1, 1, 1]], [[0, 0, 0, 1]]])
    found = measure(a, b)
    assert found.spatiotemporal_iou == pytest.approx((1 + 1 / 2 + 2 / 3 + 0) / 4)  # 1 where both are empty
    assert found.spatial_iou == pytest.approx(2 / 4)
    assert found.weighted_spatial_iou == pytest.approx((0 + 2 + 1 + 0) / (1 + 2 + 1 + 2))
    assert found.mse == 0.0
    assert iou(np.zeros(3), np.zeros(3)) == 1.0
    white = MaskedClip(np.full((4, 1, 4, 3), 255, np.uint8), a.masks)
    white.frames[:2] = 51
    assert measure(a, white).mse == pytest.approx((0.2**2 + 1) / 2)


def test_both_scores_by_hand():
    clip, variance = Measures(0.03, 0.2, 0.3, 0.1), Measures(0.01, 0.4, 0.6, 0.5)
    assert original_score(clip, variance) == pytest.approx(100 * ((0.5 + 0.5 + 0.2) / 3 - 0.02))
    assert verified_score(clip, variance) == pytest.approx(100 * (1 / 3 + 0.5 + 0.5 + 0.2) / 4, abs=1e-4)
    better = Measures(0.0, 0.9, 0.9, 0.9)
    assert verified_score(better, variance) == 100.0  # every ratio is cut at 1, and an error of 0 is no division by 0
    assert original_score(better, variance) > 100.0  # only the mean is cut
    with pytest.raises(Undefined, match="nothing to divide by"):
        original_score(clip, Measures(0.01, 0.0, 0.6, 0.5))


def test_a_clip_is_seen_at_a_quarter_of_the_real_clips_size_whatever_its_own():
    real = masked_clip(moving(2))
    assert real.frames.shape == (FRAMES, 16, 24, 3)
    double = moving(2).repeat(2, 1).repeat(2, 2)
    found = measure(real, masked_clip(double, (24, 16)))
    assert found.spatial_iou > 0.8
    assert found.mse < 1e-3


# Files


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0001_perspective-left_trimmed-ball-and-block-fall.mp4", ("perspective-left", "ball-and-block-fall", None, None)),
        ("0002_perspective-center_take-2_trimmed-ball.mkv", ("perspective-center", "ball", 2, None)),
        (
            "0001_testing-videos_30FPS_perspective-right_take-1_trimmed-two-balls-pass.mp4",
            ("perspective-right", "two-balls-pass", 1, 30),
        ),
        ("0001_perspective-left_trimmed-ball", ("perspective-left", "ball", None, None)),
    ],
)
def test_names_of_the_benchmark(name, expected):
    shot = parse_name(name)
    assert (shot.view, shot.scenario, shot.take, shot.fps) == expected


def test_names_that_are_not_the_benchmarks():
    assert parse_name("cat.mp4") is None
    assert parse_name("perspective-left_trimmed-ball.mp4") is None


def save(folder, name, frames, fps=FPS):
    folder.mkdir(parents=True, exist_ok=True)
    write_clip(Clip(np.ascontiguousarray(frames), fps), folder / name)
    return folder / name


SCENES = {"slide": 2.0, "run": 3.0}
VIEWS = ("left", "right")


def real_name(number, view, take, scene, fps=FPS):
    return f"{number:04d}_testing-videos_{fps}FPS_perspective-{view}_take-{take}_trimmed-{scene}.mkv"


@pytest.fixture
def filmed(tmp_path, monkeypatch):
    """Two scenes from two views, each filmed twice, with a video of masks and a conditioning video beside them."""
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "cache"))
    real = tmp_path / "benchmark"
    number = 0
    for take in (1, 2):
        for scene, speed in SCENES.items():
            for v, view in enumerate(VIEWS):
                number += 1
                frames = moving(speed - 0.25 * (take - 1), 8 + 4 * v, noise=number)
                save(real / "split-videos" / "testing-videos" / f"{FPS}FPS", real_name(number, view, take, scene), frames)
    other = f"0001_conditioning-videos_{FPS}FPS_perspective-left_take-1_trimmed-slide.mkv"
    save(real / "split-videos" / "conditioning-videos", other, moving(0, frames=12))
    return real


def take(filmed, number, view, which, scene):
    from sora_eval.video.codec import read_clip

    return read_clip(next(filmed.rglob(real_name(number, view, which, scene)))).frames


def score_of(filmed, frames, name="0001_perspective-left_trimmed-slide", fps=FPS, metric=None):
    case = Case(Prompt(name, ""), None, None, None, None)
    metric = metric or create("physics_iq", {"real": str(filmed)})
    return {k.split(".")[1]: s for k, s in metric.score(ClipView(Clip(np.ascontiguousarray(frames), fps), case)).items()}


def test_an_identical_clip_scores_best_and_the_second_take_scores_as_the_first(filmed):
    same = score_of(filmed, take(filmed, 1, "left", 1, "slide"))
    assert same["verified"].value == pytest.approx(100.0)
    assert same["original"].value > 100.0
    assert (same["mse"].value, same["spatiotemporal_iou"].value) == (0.0, 1.0)
    second = score_of(filmed, take(filmed, 5, "left", 2, "slide"))
    assert second["verified"].value == pytest.approx(100.0, abs=1e-3)  # it is what nature varies by
    still = score_of(filmed, take(filmed, 1, "left", 1, "slide")[:1].repeat(FRAMES, 0))
    late = score_of(filmed, moving(1.0))
    for name in ("verified", "original"):
        assert same[name].value > late[name].value > still[name].value
    assert still["verified"].value < 30
    assert same["original"].detail["pairs"] == 4
    assert same["verified"].detail["take"] == real_name(1, "left", 1, "slide")


def test_original_is_the_ratio_of_means_of_all_scenes(filmed):
    metric = create("physics_iq", {"real": str(filmed)})
    clips, variances, number = [], [], 0
    for scene, speed in SCENES.items():
        for v, view in enumerate(VIEWS):
            number += 1
            clip = moving(speed - 0.6, 8 + 4 * v)
            one, two = (masked_clip(take(filmed, number + 4 * k, view, k + 1, scene)) for k in (0, 1))
            clips.append(measure(one, masked_clip(clip, (24, 16))).array())
            variances.append(measure(one, two).array())
            scores = score_of(filmed, clip, f"{number:04d}_perspective-{view}_trimmed-{scene}", metric=metric)
            metric.update({f"physics_iq.{n}": s.value for n, s in scores.items()})
    m, v = np.mean(clips, 0), np.mean(variances, 0)
    expected = 100 * np.clip((m[1:] / v[1:]).mean() - (m[0] - v[0]), 0, 1)
    assert float(metric.compute()[0]) == pytest.approx(expected)
    ratios = np.array(clips) / (np.array(variances) + 1e-8)
    ratios[:, 0] = 1 / ratios[:, 0]
    assert float(metric.compute()[1]) == pytest.approx(100 * np.clip(ratios, 0, 1).mean())
    assert 0 < expected < 100


def ship(filmed, number, view, which, scene, masks, under="real"):
    """A video of masks as the benchmark brings them, grey 0 or 255."""
    name = f"{number:04d}_video-masks_{FPS}FPS_perspective-{view}_take-{which}_trimmed-{scene}.mkv"
    return save(filmed / "video-masks" / under / f"{FPS}FPS", name, np.repeat(np.asarray(masks)[..., None], 3, -1))


def test_shipped_masks_are_read_and_are_in_the_signature(filmed):
    plain = create("physics_iq", {"real": str(filmed)})
    before = score_of(filmed, moving(2), metric=plain)
    empty = np.zeros((FRAMES, *SIZE), np.uint8)
    for number, which in ((1, 1), (5, 2)):
        ship(filmed, number, "left", which, "slide", empty)
    ship(filmed, 1, "left", 1, "slide", 255 - empty, under="generated/model")  # of the published code's own runs
    metric = create("physics_iq", {"real": str(filmed)})
    assert metric.signature != plain.signature
    scores = score_of(filmed, moving(2), metric=metric)
    assert scores["spatial_iou"].value == 0.0  # the clip moves, the shipped masks say that nothing does
    assert before["spatial_iou"].value > 0.5
    assert scores["mse"].value == before["mse"].value
    assert [s["verified"].detail["shipped_masks"] for s in (before, scores)] == [0, 2]
    assert scores["verified"].detail["variance"]["spatial_iou"] == 1.0
    ship(filmed, 5, "left", 2, "slide", empty[:-1])
    with pytest.raises(Undefined, match=r"take-2_trimmed-slide.mkv has 19 masks for 20 frames"):
        score_of(filmed, moving(2))


def test_verified_has_takes_of_its_own(filmed, tmp_path):
    other = tmp_path / "verified"
    for number, which in ((1, 1), (5, 2)):
        save(other, real_name(number, "left", which, "slide"), moving(2.5 - 0.25 * which, noise=number + 20))
    clip = moving(2)
    both = create("physics_iq", {"real": str(filmed), "real_verified": str(other)})
    scores = score_of(filmed, clip, metric=both)
    alone = {folder: score_of(folder, clip) for folder in (filmed, other)}
    assert scores["verified"].value == alone[other]["verified"].value != alone[filmed]["verified"].value
    for name in ("original", "mse", "spatial_iou"):
        assert scores[name].value == alone[filmed][name].value
    details = [s["verified"].detail["takes"] for s in (scores, alone[filmed])]
    assert details == ["real_verified", "real"]
    only = score_of(filmed, clip, metric=create("physics_iq", {"real_verified": str(other)}))
    assert only["verified"].value == scores["verified"].value
    assert (only["original"].value, only["mse"].value) == (None, None)
    assert "set real =" in only["original"].reason
    # A take that only one of the two has leaves the other score.
    missing = score_of(filmed, clip, "0002_perspective-right_trimmed-slide", metric=both)
    assert missing["original"].value is not None
    assert "no take 1 of slide, perspective-right" in missing["verified"].reason


@pytest.mark.parametrize(
    ("name", "frames", "fps", "reason"),
    [
        ("a-cat", FRAMES, FPS, "not a Physics-IQ name"),
        ("0009_perspective-left_trimmed-fly", FRAMES, FPS, "has no take 1 of fly, perspective-left"),
        ("0001_perspective-left_trimmed-slide", FRAMES - 1, FPS, "has 19 frames at 4 fps; .* exactly 5 s, 20 frames"),
        ("0001_perspective-left_trimmed-slide", FRAMES + 4, FPS, "24 frames at 4 fps"),
        ("0001_perspective-left_trimmed-slide", 40, 8, r"is there at \[4\] fps, not at 8"),
    ],
)
def test_what_cannot_be_scored_says_why(filmed, name, frames, fps, reason):
    with pytest.raises(Undefined, match=reason):
        score_of(filmed, moving(1, frames=frames), name, fps)


def test_a_missing_second_take_and_a_take_of_another_length_are_said_clip_by_clip(filmed):
    next(filmed.rglob(real_name(6, "right", 2, "slide"))).unlink()
    short = next(filmed.rglob(real_name(7, "left", 2, "run")))
    save(short.parent, short.name, moving(2.75, frames=FRAMES - 3))
    metric = create("physics_iq", {"real": str(filmed)})
    with pytest.raises(Undefined, match="no take 2 of slide, perspective-right"):
        score_of(filmed, moving(2), "0002_perspective-right_trimmed-slide", metric=metric)
    with pytest.raises(Undefined, match=r"take-2_trimmed-run\.mkv has 17 frames"):
        score_of(filmed, moving(3), "0003_perspective-left_trimmed-run", metric=metric)
    good = score_of(filmed, moving(2), metric=metric)  # another file's length is nothing to this one
    assert good["original"].detail["pairs"] == 2


def test_a_take_that_changes_under_the_same_name_is_measured_anew(filmed):
    before = create("physics_iq", {"real": str(filmed)})
    first = score_of(filmed, moving(2), metric=before)
    second = next(filmed.rglob(real_name(5, "left", 2, "slide")))
    save(second.parent, second.name, moving(0.5))
    after = create("physics_iq", {"real": str(filmed)})
    assert after.signature != before.signature
    changed = score_of(filmed, moving(2), metric=after)
    assert changed["verified"].detail["variance"] != first["verified"].detail["variance"]


def test_folders_without_takes_are_one_message(tmp_path, filmed):
    with pytest.raises(ClipError, match="is not a folder"):
        create("physics_iq", {"real": str(tmp_path / "gone")})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipError, match="no real take below"):
        create("physics_iq", {"real": str(tmp_path / "empty")})
    save(filmed / "copy", real_name(1, "left", 1, "slide"), moving(1))
    with pytest.raises(ClipError, match="are the same take at the same rate"):
        Takes.find(filmed)
    with pytest.raises(Undefined, match="set real ="):
        score_of(filmed, moving(1), metric=create("physics_iq"))


def test_order_merging_and_pickling_change_nothing(filmed):
    fresh = create("physics_iq", {"real": str(filmed)})
    whole, first, second = (pickle.loads(pickle.dumps(fresh)) for _ in range(3))
    clips = [("slide", moving(1.5)), ("slide", moving(2.5)), ("run", moving(2.0)), ("run", moving(3.5))]
    scored = []
    for scene, frames in clips:
        number = {"slide": 1, "run": 3}[scene]
        scores = score_of(filmed, frames, f"{number:04d}_perspective-left_trimmed-{scene}", metric=whole)
        scored.append({f"physics_iq.{n}": s.value for n, s in scores.items()})
    for scores in scored:
        whole.update(scores)
    for scores in scored[::-1][:3]:
        first.update(scores)
    second.update(scored[0])
    states = [{name: getattr(m, name).clone() for name in ("total", "count")} for m in (first, second)]
    merged = pickle.loads(pickle.dumps(fresh))
    merged.total, merged.count = (sum(s[name] for s in states) for name in ("total", "count"))
    assert merged.compute().tolist() == pytest.approx(whole.compute().tolist(), abs=1e-9)
    again = score_of(filmed, clips[0][1], metric=pickle.loads(pickle.dumps(whole)))
    assert {f"physics_iq.{n}": s.value for n, s in again.items()} == scored[0]


def test_a_folder_of_generated_clips_is_scored_by_the_shipped_suite(filmed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filmed.rename(tmp_path / "physics-IQ-benchmark")
    made = tmp_path / "made"
    save(made, "0001_perspective-left_trimmed-slide.mkv", moving(2))
    save(made, "0002_perspective-right_trimmed-slide.mkv", moving(2, 12))
    save(made, "0003_perspective-left_trimmed-run.mkv", moving(3, frames=12))
    run = evaluate.run(load_suite("physics_iq"), f"folder:{made}", tmp_path / "runs")
    rows = {r.metric: r for r in run.rows(MetricRow) if r.slice == "all"}
    assert (rows["physics_iq.verified"].n_scored, rows["physics_iq.verified"].n_expected) == (2, 3)
    assert "exactly 5 s, 20 frames" in rows["physics_iq.verified"].reason
    assert rows["physics_iq.original"].value == 100.0
    assert rows["physics_iq.original"].method == "none: fewer than 3 prompts"
    reasons = {r.id: r.reason for r in run.rows(ScoreRow) if r.metric == "physics_iq.mse"}
    assert "12 frames" in reasons["0003_perspective-left_trimmed-run/native/0"]
    json.dumps([r.model_dump() for r in run.rows(ScoreRow)])
    (tmp_path / "physics-IQ-benchmark").rename(tmp_path / "elsewhere")
    again = evaluate.run(load_suite("physics_iq"), f"folder:{made}", tmp_path / "runs")
    row = again.rows(MetricRow)[0]
    assert row.status == "error"
    assert "real = 'physics-IQ-benchmark' is not a folder" in row.reason
