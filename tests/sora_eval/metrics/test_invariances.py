"""What every metric declares of resolution, aspect, fps and length is true on clips of the world, and no more is.

Scores move when the mean change of clips' scores exceeds 5 % of their spread (the standard deviation between clips); vectors
of set metrics likewise, by distance. Clips are of 16 fps, so that halving the rate leaves the 8 fps that a metric may ask for.
"""

from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.world import ObjectFacts
from sora_eval.metrics.base import ClipMetric
from sora_eval.metrics.create import create
from sora_eval.records.bucket import AXES
from sora_eval.registry.metrics import METRICS
from sora_eval.stats.natural_scene import clip_distances
from tests.conftest import view_of, world_clip

MOVED = 0.05
FPS = 16.0
# Networks are those of a user's files: nothing is declared.
FROM_FILES = ("aesthetic", "imaging_quality", *(n for n, i in METRICS.built_in.items() if i.family == "vbench"))


def doubled(frames, fps):
    return frames.repeat(2, 1).repeat(2, 2), fps


def letterboxed(frames, fps):
    side = frames.shape[2] // 2
    return np.pad(frames, ((0, 0), (0, 0), (side, side), (0, 0))), fps


def halved_rate(frames, fps):
    return frames[::2], fps / 2


def first_half(frames, fps):
    return frames[: len(frames) // 2], fps


CHANGES = {"resolution": doubled, "aspect": letterboxed, "fps": halved_rate, "length": first_half}


@cache
def views(change=None):
    """Clips of the world, some of them damaged so that scores differ, as they are or changed in one way."""
    motions = [("red", "falls"), ("blue", "moves"), ("green", "bounces"), ("yellow", "rests"), ("magenta", "slides")]
    out = []
    for i, (colour, motion) in enumerate(motions):
        moving = {"direction": "right", "speed": "quickly"} if motion in ("moves", "slides") else {}
        clip = world_clip(ObjectFacts(colour, "circle", motion, **moving), seed=i, size=(32, 32), frames=24)
        frames = clip.frames
        if i % 2:
            noise = np.random.default_rng(i).integers(-3 * i, 3 * i + 1, frames.shape)
            frames = (frames + noise).clip(0, 255).astype(np.uint8)
        frames, fps = CHANGES[change](frames, FPS) if change else (frames, FPS)
        out.append(view_of(frames, clip.scene.facts, f"a {colour} circle {motion}", fps))
    return out


@cache
def scores(name, change=None):
    """What a metric sees of every clip: its scores (n, outputs), or its vectors (n, D)."""
    metric = create(name)
    if metric.outputs[0].name == "clip_retrieval":  # its score is a step; the margin is what it is a step of
        texts = np.stack([metric.text(v.case.prompt.text) for v in views()])
        cosines = np.stack([v.features(metric.extractor).mean(0) for v in views(change)]) @ texts.T
        own = np.diag(cosines).copy()
        np.fill_diagonal(cosines, -np.inf)
        return (own - cosines.max(1))[:, None]
    if isinstance(metric, ClipMetric):
        given = [metric.score(v) for v in views(change)]
        return np.array([[g[o.name].value for o in metric.outputs] for g in given], float)
    vectors = np.stack([metric.features(v) for v in views(change)])
    if metric.statistic.is_mean:  # of a score of every clip
        reference = np.stack([metric.features(v) for v in views()][::2])
        return clip_distances(metric.statistic.kind, vectors, reference)[:, None]
    return vectors


def moved(name, change):
    """Mean change of the scores in units of their spread between clips; the largest of a metric's outputs."""
    before, after = scores(name), scores(name, change)
    if before.shape[1] > 3:
        return np.linalg.norm(after - before, axis=1).mean() / np.linalg.norm(before - before.mean(0), axis=1).mean()
    spread, shift = before.std(0), np.abs(after - before).mean(0)
    return max(s / d if d else float(s > 0) for s, d in zip(shift, spread, strict=True))


@pytest.mark.parametrize("change", AXES)
@pytest.mark.parametrize("name", [n for n, i in METRICS.built_in.items() if not i.pixels and n not in FROM_FILES])
def test_declarations_are_true_and_complete(name, change):
    known = METRICS.built_in[name].invariant_to
    if METRICS.built_in[name].family == "distribution" and name != "fvd":
        # They share FVD's vectors, and a check of them costs I3D.
        assert known == METRICS.built_in["fvd"].invariant_to
        return
    how_far = moved(name, change)
    if change in known:
        assert how_far <= MOVED, f"{name} declares {change} and moves by {how_far:.2f} spreads"
    else:
        assert how_far > MOVED, f"{name} does not declare {change} and moves by {how_far:.2f} spreads only"


@pytest.mark.parametrize("name", [n for n, i in METRICS.built_in.items() if i.pixels])
def test_what_reads_facts_in_pixels_declares_nothing(name):
    assert METRICS.built_in[name].invariant_to == frozenset()
    assert METRICS.built_in[name].sensitive_to == AXES


def panning(fps, speed):
    """1.5 s of a texture that moves `speed` short sides per second, of any rate."""
    rng, side, frames = np.random.default_rng(0), 96, round(1.5 * fps)
    texture = cv2.GaussianBlur(rng.normal(size=(side, 3 * side, 3)).astype(np.float32), (0, 0), 2)
    texture = 127 + 50 * texture / texture.std()
    places = speed * side * np.arange(frames) / fps
    moved = [cv2.warpAffine(texture, np.float32([[1, 0, -x], [0, 1, 0]]), (side, side)) for x in places]
    return view_of(np.stack(moved).clip(0, 255).astype(np.uint8), fps=fps)


def dynamic(fps, speed):
    return {n.rpartition(".")[2]: s.value for n, s in create("dynamic_degree").score(panning(fps, speed)).items()}


@given(st.floats(6, 60))
@settings(max_examples=12)
def test_motion_has_one_dynamic_degree_at_any_rate(fps):
    reference = dynamic(8.0, 0.25)
    assert dynamic(fps, 0.25)["magnitude"] == pytest.approx(reference["magnitude"], rel=0.06)
    assert dynamic(fps, 0.25)["dynamic_degree"] == 1.0
    assert dynamic(fps, 0.13)["dynamic_degree"] == 0.0


@pytest.mark.parametrize("fps", [11.0, 12.0, 30000 / 1001])
def test_rates_that_vbench_counts_differently_have_one_score(fps):
    assert dynamic(fps, 0.21)["dynamic_degree"] == dynamic(8.0, 0.21)["dynamic_degree"] == 1.0
