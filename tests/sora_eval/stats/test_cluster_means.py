"""Tests over whole prompts: flips are drawn directly and in parts, and give the p of SciPy's permutation test."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sora_eval.stats import cluster_means
from sora_eval.stats.cluster_means import difference_bounds, sign_flip_p

NAMES = [f"{i:03d}" for i in range(500)]  # in the order of their values


def scipy_p(sums, permutations, seed=0):
    """The p of SciPy, which flips the signs of one sample."""
    test = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=permutations, rng=np.random.default_rng(seed)
    )
    return test.pvalue


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=8))
@settings(max_examples=40, deadline=None)
def test_the_p_of_all_patterns_is_scipys(values):
    """Whole numbers have many ties, and zeros; their sums are exact, so that neither side rounds a tie away."""
    sums = np.array(values, float)
    assert sign_flip_p(sums, NAMES[: len(sums)]) == pytest.approx(scipy_p(sums, 10_000), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3])
@pytest.mark.parametrize("clusters", [12, 81])
def test_the_p_of_drawn_patterns_is_scipys(shift, clusters, rng):
    """The draws too: whoever has run before has the same p. Of two seeds, and an odd number of clusters."""
    sums = rng.standard_normal(clusters) + shift
    for seed in (0, 7):
        assert sign_flip_p(sums, NAMES[:clusters], seed, 999) == pytest.approx(scipy_p(sums, 999, seed), rel=1e-12)


def test_drawn_patterns_hold_their_level_at_few_permutations(rng):
    """(c + 1) / (P + 1): with c / P a tail would be 0 too often. With 19 permutations p is at most .1 one time in ten."""
    null = [sign_flip_p(rng.standard_normal(30), NAMES[:30], seed, permutations=19) for seed in range(600)]
    assert min(null) == pytest.approx(2 / 20)
    assert np.mean(np.array(null) <= 0.1) == pytest.approx(0.1, abs=0.04)


def test_without_a_difference_p_is_1():
    assert sign_flip_p(np.zeros(5), NAMES[:5]) == sign_flip_p(np.zeros(400), NAMES[:400]) == 1.0


@pytest.mark.parametrize("clusters", [3, 9, 60])
def test_flips_in_parts_give_the_p_and_the_bounds_of_all_at_once(clusters, rng, monkeypatch):
    differences, names = rng.standard_normal(clusters) + 0.1, NAMES[:clusters]
    found, bounds = set(), []
    for signs in (1 << 40, 7 * clusters):
        cluster_means._drawn_subsets.cache_clear()
        monkeypatch.setattr(cluster_means, "AT_A_TIME", signs)
        found.add(sign_flip_p(differences, names, permutations=200))
        bounds.append(difference_bounds(differences, names, 0.05))
    assert len(found) == 1
    assert [bounds[0].low, bounds[0].high] == pytest.approx([bounds[1].low, bounds[1].high], rel=1e-12)


def test_bounds_are_quantiles_of_means_of_random_subsets(rng):
    """An independent count: the same subsets, all at once."""
    values = rng.standard_normal(40)
    drawn = np.random.default_rng(0).integers(0, 2, (1000, 42))
    largest = np.abs(values).max()
    means = [
        (subsets @ np.append(values, ends)) / subsets.sum(1)
        for subsets, ends in ((drawn, [-largest, largest]), (drawn, [largest, -largest]))
    ]
    low, high = np.sort(np.concatenate(means))[[int(0.05 * 2001) - 1, 2000 - int(0.05 * 2001)]]
    bounds = difference_bounds(values, NAMES[:40], 0.05)
    assert [bounds.low, bounds.high] == pytest.approx([low, high], rel=1e-12)
