"""The distances: by hand, against NIQE's own formula, and without regard to how clips are divided into rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal, kl_divergence

from sora_eval.stats.attribution import attribution
from sora_eval.stats.distances import set_statistic
from sora_eval.stats.natural_scene import RIDGE, clip_distances, divergences, niqe_distances, packed, pooled, unpacked
from sora_eval.stats.set_statistic import SetStatistic

KINDS = ("natural-scene", "niqe")


def rows(rng, clips, d=4, size=(32, 32), shift=0.0):
    return np.stack([packed(*size, rng.standard_normal((int(n), d)) + shift) for n in rng.integers(8, 30, clips)])


def test_a_row_holds_what_it_was_made_of(rng):
    features = rng.standard_normal((9, 5))
    sizes, counts, means, covariances = unpacked(packed(40, 24, features)[None])
    assert sizes.tolist() == [[40, 24]]
    assert counts.tolist() == [9]
    assert means[0] == pytest.approx(features.mean(0))
    assert covariances[0] == pytest.approx(np.cov(features, rowvar=False))
    with pytest.raises(ValueError, match="no statistics of patches"):
        unpacked(np.zeros((1, 400)))


@given(st.integers(2, 6), st.integers(0, 9))
@settings(max_examples=20)
def test_clips_pooled_have_the_gaussian_of_all_their_patches(clips, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((int(n), 3)) + i for i, n in enumerate(rng.integers(2, 9, clips))]
    _, counts, means, covariances = unpacked(np.stack([packed(8, 8, part) for part in parts]))
    mean, covariance = pooled(counts, means, covariances)
    joined = np.concatenate(parts)
    assert mean == pytest.approx(joined.mean(0))
    assert covariance == pytest.approx(np.cov(joined, rowvar=False))


def test_niqe_distance_is_equation_10_of_the_paper(rng):
    a, b = rng.standard_normal((2, 200, 6)) @ np.diag([1e-3, 1, 1, 10, 1e3, 1])
    b = b * 1.5 + 0.3
    difference = a.mean(0) - b.mean(0)
    covariance = (np.cov(a, rowvar=False) + np.cov(b, rowvar=False)) / 2
    published = np.sqrt(difference @ np.linalg.pinv(covariance, rcond=1e-15) @ difference)
    ours = niqe_distances(a.mean(0)[None], np.cov(a, rowvar=False)[None], b.mean(0), np.cov(b, rowvar=False))
    assert ours[0] == pytest.approx(published, rel=1e-9)


def test_a_divergence_is_that_of_torch(rng):
    a, b = rng.standard_normal((2, 60, 5)) @ np.diag([1, 2, 3, 1, 1])
    a = 0.5 * a + 1
    moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in (a, b)]
    p, q = (MultivariateNormal(torch.from_numpy(m), torch.from_numpy(c + RIDGE * np.eye(5))) for m, c in moments)
    ours = divergences(moments[0][0][None], moments[0][1][None], *moments[1])
    assert ours[0] == pytest.approx(float(kl_divergence(p, q)), rel=1e-9)


def test_what_the_reference_does_not_vary_in_still_counts():
    flat = np.diag([1.0, 0.0])
    alike, apart = divergences(np.array([[0.0, 0.0], [0.0, 1.0]]), np.stack([flat, flat]), np.zeros(2), flat)
    assert alike == pytest.approx(0, abs=1e-9)
    assert apart == pytest.approx(0.5 / RIDGE)
    assert divergences(np.zeros((1, 2)), np.zeros((1, 2, 2)), np.zeros(2), np.zeros((2, 2))) == pytest.approx([0.0])
    less = divergences(np.zeros((1, 2)), 0.1 * np.eye(2)[None], np.zeros(2), np.eye(2))
    assert less[0] > 0.5  # patches that are all alike are a surprise too


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_is_compared_with_real_clips_of_its_own_size(kind, rng):
    small, large = rows(rng, 6), rows(rng, 6, size=(64, 64), shift=3.0)
    clips = np.concatenate([rows(rng, 2), rows(rng, 2, size=(64, 64), shift=3.0)])
    both = clip_distances(kind, clips, np.concatenate([small, large]))
    assert both[:2] == pytest.approx(clip_distances(kind, clips[:2], small))
    assert both[2:] == pytest.approx(clip_distances(kind, clips[2:], large))
    other = rows(rng, 1, size=(16, 16))  # of a size that no real clip has: against all
    as_small = other.copy()
    as_small[:, :2] = 32
    assert clip_distances(kind, other, small) == pytest.approx(clip_distances(kind, as_small, small))


@pytest.mark.parametrize("kind", KINDS)
def test_as_a_statistic_it_is_the_mean_of_the_clips_and_each_has_its_part(kind, rng):
    clips, real = rows(rng, 7, shift=0.5), rows(rng, 9)
    spec = SetStatistic(kind=kind)
    statistic, (a, b) = set_statistic(spec, clips, real)
    distances = clip_distances(kind, clips, real)
    assert statistic(a, b) == pytest.approx(distances.mean())
    assert statistic.many(np.stack([a[:3], a[3:6]]), b) == pytest.approx([distances[:3].mean(), distances[3:6].mean()])
    without = [statistic(a, b) - statistic(np.delete(a, i), b) for i in range(len(a))]
    assert attribution(spec, clips, real) == pytest.approx(without)
    assert (spec.is_mean, spec.is_unbiased, spec.is_distance) == (True, True, False)
    assert str(spec).endswith("|mean-of-clips")
