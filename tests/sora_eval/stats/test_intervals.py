"""Intervals cover, tests hold their level, and neither is fooled by clusters."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_eval.stats.cluster_means import clustered_error, difference_interval, least_swap_p, mean_interval, sign_flip_p
from sora_eval.stats.distances import Statistic, cubic_kernel, frechet_from_gram, gram, mmd, set_statistic
from sora_eval.stats.intervals import (
    jackknife_interval,
    least_mann_whitney_p,
    mann_whitney_p,
    mcnemar_p,
    ratio_of_medians,
    set_difference,
    split_halves,
    two_sample_p,
)
from sora_eval.stats.set_statistic import SetStatistic


def test_clustered_interval_covers_where_a_naive_one_does_not(rng):
    covered = naive = 0
    clusters = [str(i // 8) for i in range(160)]
    for _ in range(120):
        values = rng.standard_normal(20).repeat(8) + 0.1 * rng.standard_normal(160)
        interval = mean_interval(values, clusters)
        covered += interval.low <= 0 <= interval.high
        naive += abs(values.mean()) <= 1.96 * values.std() / np.sqrt(160)
    assert covered / 120 > 0.87  # 95 % asked for; 20 clusters and 120 draws
    assert naive / 120 < 0.7


@pytest.mark.parametrize("kind", ["frechet", "mmd-cubic"])
def test_the_same_two_sets_in_another_order_are_a_tie(kind, rng):
    """Of six vectors in two clusters, permutations repeat the split itself, whose sums may round to less."""
    values = np.concatenate([rng.normal(0, 1, (3, 40)), rng.normal(9, 1, (3, 40))])
    statistic, (a, b) = set_statistic(SetStatistic(kind=kind), values[:3], values[3:])
    draws = np.random.default_rng(0)
    repeats = sum(set(draws.permutation(6)[:3].tolist()) in ({0, 1, 2}, {3, 4, 5}) for _ in range(500))
    assert two_sample_p(a, b, statistic, permutations=500) == (repeats + 1) / 501


def test_a_sign_flip_p_is_twice_the_smaller_tail(rng):
    """An independent count: exact over all patterns, and (c + 1) / (P + 1) per tail over drawn ones."""
    values = rng.standard_normal(8) + 0.6
    patterns = np.array(list(product((-1, 1), repeat=8)))
    sums, observed = patterns @ values, values.sum()
    tails = [(sums >= observed - 1e-12).mean(), (sums <= observed + 1e-12).mean()]
    assert sign_flip_p(values, list("abcdefgh")) == pytest.approx(min(1.0, 2 * min(tails)))
    # 20 differences of one sign: no drawn pattern of 99 reaches their sum, so c = 0 in the smaller tail.
    assert sign_flip_p(np.ones(20), [str(i) for i in range(20)], permutations=99) == pytest.approx(2 * 1 / 100)


def test_sign_flip_holds_its_level_and_has_power(rng):
    clusters = [str(i // 2) for i in range(40)]
    null = [sign_flip_p(rng.standard_normal(40), clusters, s) for s in range(150)]
    assert np.mean(np.array(null) <= 0.05) <= 0.1
    assert sign_flip_p(rng.standard_normal(40) + 1.5, clusters) < 0.01


@given(values=st.lists(st.floats(-5, 5), min_size=2, max_size=12), shift=st.integers(0, 99))
@settings(max_examples=30)
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
    assert mean_interval([1.0, 1.0], ["a", "b"], span=1.0).low is None


@pytest.mark.parametrize("which", ["fvd", "kvd"])
def test_set_difference_holds_its_level_and_sees_a_worse_set(which, rng):
    def compare(shift, seed):
        draw = np.random.default_rng(seed)
        prompts = draw.standard_normal((24, 10)).repeat(2, 0)
        a, b, r = (prompts + draw.standard_normal((48, 10)) for _ in range(3))
        k, (x, y, z) = gram(a, b + shift, r)

        def distance(i, j):
            return frechet_from_gram(k, i, j) if which == "fvd" else mmd(cubic_kernel(k, 10), i, j)

        return set_difference(x[None], y[None], z, [str(i // 2) for i in range(48)], Statistic(distance), permutations=99)

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


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_mann_whitney_fires_exactly_where_it_can(n):
    """Two samples that do not overlap give the smallest p there is: published as 0.10, 0.0286, 0.0079, 0.0022."""
    low, high = np.arange(n), np.arange(n) + 100.0
    least = least_mann_whitney_p(n, n)
    assert mann_whitney_p(low, high) == mann_whitney_p(high, low) == pytest.approx(least)
    assert least == pytest.approx({3: 0.10, 4: 0.0286, 5: 0.0079, 6: 0.0022, 7: 0.00058}[n], abs=5e-5)
    assert (least <= 0.05) == (n >= 4)
    assert mann_whitney_p(low, low) > 0.5  # ties


def test_mann_whitney_holds_its_level(rng):
    p = [mann_whitney_p(*rng.standard_normal((2, 5))) for _ in range(400)]
    assert np.mean(np.array(p) <= 0.05) <= 0.08


def test_mcnemar_is_the_binomial_of_the_discordant_pairs():
    base, new = np.array([1] * 8 + [0] * 4), np.array([0] * 6 + [1] * 4 + [0] * 2)
    # 6 lost and 2 gained of 8: 2 (C(8,0) + C(8,1) + C(8,2)) / 2^8
    assert mcnemar_p(base, new) == mcnemar_p(new, base) == pytest.approx(2 * 37 / 256)
    assert mcnemar_p(base, base) == 1.0
    # One case a prompt: flipping the signs of all prompts is the same test.
    assert sign_flip_p(new - base, [str(i) for i in range(12)], permutations=2**12) == pytest.approx(2 * 37 / 256)


@pytest.mark.parametrize("clusters", [2, 3, 5, 8])
def test_the_smallest_p_of_flipping_is_reached(clusters):
    p = sign_flip_p(np.ones(clusters), [str(i) for i in range(clusters)])
    assert p == pytest.approx(least_swap_p(clusters)) == pytest.approx(2 / 2**clusters)


def test_the_smallest_p_of_drawn_permutations_is_reached():
    """99 draws of the 2^12 patterns: only the observed one is as large, so p is the 2 / (99 + 1) of its two tails."""
    p = sign_flip_p(np.ones(12), [str(i) for i in range(12)], permutations=99)
    assert p == pytest.approx(least_swap_p(12, 99)) == pytest.approx(2 / 100)
    # A few more permutations than patterns: all patterns are counted instead, and theirs is the smallest.
    assert least_swap_p(6, 99) == pytest.approx(2 / 2**6)


def test_clustered_error_is_that_of_cluster_means(rng):
    means = rng.standard_normal(30)
    error = clustered_error(means.repeat(4), [str(i // 4) for i in range(120)])
    assert error == pytest.approx(means.std(ddof=1) / np.sqrt(30))
    assert clustered_error([1.0, 2.0], ["a", "a"]) is None


def test_intervals_of_few_prompts_cover(rng):
    """With 4 prompts a bootstrap covers far less than it says; Student's t does not."""
    clusters, covered = list("abcd"), 0
    for _ in range(400):
        interval = difference_interval(rng.standard_normal(4), clusters)
        covered += interval.low <= 0 <= interval.high
    assert covered / 400 > 0.92
    assert difference_interval([1.0], ["a"]).low is None


def test_ratio_of_medians(rng):
    base = 1 + 0.01 * rng.standard_normal(9)
    ratio, interval = ratio_of_medians(base, 1.2 * base)
    assert ratio == pytest.approx(1.2)
    assert 1.15 < interval.low <= 1.2 <= interval.high < 1.25
    assert ratio_of_medians(base[:3], base[:3])[1].low is None


def test_equal_sets_have_p_1_and_order_of_rows_changes_nothing(rng):
    x, y, z = rng.standard_normal((3, 16, 5))
    clusters = [str(i // 2) for i in range(16)]
    statistic, (a, b, r) = set_statistic(SetStatistic(kind="frechet"), x, y, z)
    same = set_difference(a[None], a[None], r, clusters, statistic, permutations=99)
    assert (same.difference, same.p, same.interval.low, same.interval.high) == (0.0, 1.0, 0.0, 0.0)
    order = rng.permutation(16)
    plain = set_difference(a[None], b[None], r, clusters, statistic, permutations=99)
    mixed = set_difference(a[order][None], b[order][None], r, [clusters[i] for i in order], statistic, permutations=99)
    back = set_difference(b[None], a[None], r, clusters, statistic, permutations=99)
    assert mixed.p == plain.p == back.p
    assert mixed.difference == pytest.approx(plain.difference) == pytest.approx(-back.difference)
    assert plain.difference == pytest.approx(plain.new - plain.base)


@pytest.mark.parametrize("kind", ["frechet", "mmd-gaussian"])
def test_several_seeds_a_side_hold_their_level_and_narrow_the_interval(kind):
    def compare(seed, base, new, shift=0.0):
        draw = np.random.default_rng(seed)
        prompts = draw.standard_normal((24, 6))
        sets = [prompts + draw.standard_normal((24, 6)) + (shift if i >= base else 0.0) for i in range(base + new)]
        statistic, rows = set_statistic(SetStatistic(kind=kind), *sets, prompts + draw.standard_normal((24, 6)))
        a, b = np.stack(rows[:base]), np.stack(rows[base : base + new])
        return set_difference(a, b, rows[-1], [str(i) for i in range(24)], statistic, permutations=99)

    null = [compare(s, 3, 2).p for s in range(60)]
    assert np.mean(np.array(null) <= 0.05) <= 0.15
    assert compare(1, 3, 2, shift=1.0).p == pytest.approx(0.01)
    width = {k: np.mean([compare(s, k, k).error for s in range(20)]) for k in (1, 4)}
    assert width[4] < 0.8 * width[1]
