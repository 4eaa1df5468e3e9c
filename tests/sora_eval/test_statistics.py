"""Intervals cover, tests hold their level, and neither is fooled by clusters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_eval.distances import frechet_from_gram, gram, mmd_from_gram
from sora_eval.statistics import (
    jackknife_interval,
    mean_interval,
    paired_set_difference,
    sign_flip_p,
    split_halves,
    two_sample_p,
)


def test_clustered_interval_covers_where_a_naive_one_does_not(rng):
    covered = naive = 0
    clusters = [str(i // 8) for i in range(160)]
    for seed in range(120):
        values = rng.standard_normal(20).repeat(8) + 0.1 * rng.standard_normal(160)
        interval = mean_interval(values, clusters, seed)
        covered += interval.low <= 0 <= interval.high
        naive += abs(values.mean()) <= 1.96 * values.std() / np.sqrt(160)
    assert covered / 120 > 0.87  # 95 % asked for; 20 clusters and 120 draws
    assert naive / 120 < 0.7


def test_sign_flip_holds_its_level_and_has_power(rng):
    clusters = [str(i // 2) for i in range(40)]
    null = [sign_flip_p(rng.standard_normal(40), clusters, s) for s in range(150)]
    assert np.mean(np.array(null) <= 0.05) <= 0.1
    assert sign_flip_p(rng.standard_normal(40) + 1.5, clusters) < 0.01


@given(values=st.lists(st.floats(-5, 5), min_size=2, max_size=12), shift=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_order_of_rows_changes_nothing_and_p_is_never_zero(values, shift):
    clusters = [str(i % 3) for i in range(len(values))]
    order = np.random.default_rng(shift).permutation(len(values))
    p = sign_flip_p(values, clusters)
    assert p > 0
    assert p == pytest.approx(sign_flip_p(np.array(values)[order], [clusters[i] for i in order]), abs=1e-9)


def test_one_prompt_is_no_evidence():
    assert mean_interval([1.0, 2.0], ["a", "a"]).low is None
    assert sign_flip_p([1.0, 2.0], ["a", "a"]) is None
    assert jackknife_interval([1.0], 1.0).low is None
    assert mean_interval([1.0, 1.0], ["a", "b"]).low == 1.0


@pytest.mark.parametrize("which", ["fvd", "kvd"])
def test_paired_set_difference_holds_its_level_and_sees_a_worse_set(which, rng):
    def compare(shift, seed):
        draw = np.random.default_rng(seed)
        prompts = draw.standard_normal((24, 10)).repeat(2, 0)
        a, b, r = (prompts + draw.standard_normal((48, 10)) for _ in range(3))
        k, (x, y, z) = gram(a, b + shift, r)

        def distance(i, j):
            return frechet_from_gram(k, i, j) if which == "fvd" else mmd_from_gram(k, i, j, 10)

        return paired_set_difference(x, y, z, [str(i // 2) for i in range(48)], distance, permutations=99)

    null = [compare(0.0, s).p for s in range(40)]
    assert np.mean(np.array(null) <= 0.05) <= 0.15
    worse = compare(1.0, 1)
    assert worse.difference > 0
    assert worse.p == pytest.approx(0.01)  # (0 + 1) / (99 + 1): the smallest there is
    assert worse.interval.low > 0


def test_two_sample_p_and_split_halves(rng):
    same, other = rng.standard_normal((2, 40, 8))
    k, (a, b) = gram(same, other + 1)

    def distance(i, j):
        return frechet_from_gram(k, i, j)

    assert two_sample_p(a, b, distance) < 0.01
    assert two_sample_p(a[:20], a[20:], distance) > 0.02
    value, part = split_halves(a, 64, distance)
    assert part == 20
    assert 0 < value < distance(a, b)
