"""Nominal 95 % intervals, and one-sided 5 % bounds, miss the true value in at most 7 % of draws: at few prompts, of skewed
scores, of rates near 1. Seeded, so that the shares are the same in every run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.stats.cluster_means import difference_bounds, difference_interval, mean_interval

DRAWS, MOST = 2000, 0.07
SIZES = (8, 16, 32, 64)

# Scores of prompts, (DRAWS, n), their true mean, and the width of the range of possible values.
SCORES = {
    "normal": lambda rng, n: (rng.standard_normal((DRAWS, n)), 0.0, None),
    "skewed": lambda rng, n: (rng.gamma(2.0, 1.0, (DRAWS, n)), 2.0, None),
    "share": lambda rng, n: (rng.beta(8.0, 1.0, (DRAWS, n)), 8 / 9, 1.0),
    "rate .90": lambda rng, n: (rng.binomial(2, 0.90, (DRAWS, n)) / 2, 0.90, 1.0),
    "rate .97": lambda rng, n: (rng.binomial(2, 0.97, (DRAWS, n)) / 2, 0.97, 1.0),
    "whole prompts fail": lambda rng, n: (1.0 - (rng.random((DRAWS, n)) < 0.06), 0.94, 1.0),
}


CHANGES = {
    "normal": lambda rng, n: (0.3 + rng.standard_normal((DRAWS, n)), 0.3, None),
    "heavy tails": lambda rng, n: (rng.standard_t(2.5, (DRAWS, n)), 0.0, None),
    "skewed": lambda rng, n: (1.2 * rng.gamma(2.0, 1.0, (DRAWS, n)) - rng.gamma(2.0, 1.0, (DRAWS, n)), 0.4, None),
    "share": lambda rng, n: (rng.beta(8.0, 1.0, (DRAWS, n)) - rng.beta(8.0, 1.3, (DRAWS, n)), 8 / 9 - 8 / 9.3, 1.0),
    "rate .97 to .90": lambda rng, n: (rng.binomial(2, 0.97, (DRAWS, n)) / 2 - rng.binomial(2, 0.9, (DRAWS, n)) / 2, 0.07, 1.0),
    "whole prompts fail": lambda rng, n: ((rng.random((DRAWS, n)) < 0.06).astype(float), 0.06, 1.0),
}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", SCORES)
def test_intervals_of_a_mean(kind, n):
    draws, true, span = SCORES[kind](np.random.default_rng(n), n)
    names = [str(i) for i in range(n)]
    intervals = [mean_interval(x, names, span=span) for x in draws]
    assert np.mean([not i.low - 1e-9 <= true <= i.high + 1e-9 for i in intervals]) <= MOST


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", CHANGES)
def test_bounds_and_intervals_of_a_change(kind, n):
    draws, true, span = CHANGES[kind](np.random.default_rng(n), n)
    names = [str(i) for i in range(n)]
    bounds = [difference_bounds(x, names, 0.05, span) for x in draws]
    assert np.mean([true > b.high + 1e-9 for b in bounds]) <= MOST
    assert np.mean([true < b.low - 1e-9 for b in bounds]) <= MOST
    intervals = [difference_interval(x, names, span=span) for x in draws[: DRAWS // 2]]
    assert np.mean([not i.low - 1e-9 <= true <= i.high + 1e-9 for i in intervals]) <= MOST


def test_what_cannot_hold_is_refused():
    assert mean_interval([0.0, 1.0], ["a", "b"]).low is None
    assert difference_bounds([0.0, 1.0], ["a", "b"], 0.05).method == "none: fewer than 3 prompts"
    assert (
        difference_interval([0.0, 1.0, 2.0], ["a", "b", "c"]).method == "none: 3 prompts are too few for a confidence of 0.975"
    )
    assert mean_interval([1.0, 1.0, 1.0], ["a", "b", "c"]).method == "none: all values equal, of an unknown range"


def test_equal_differences_have_the_rule_of_three():
    bounds = difference_bounds([0.0] * 60, [str(i) for i in range(60)], 0.05, span=1.0)
    assert bounds.high == pytest.approx(3 / 60, rel=0.03)
    assert bounds.low == -bounds.high


@given(
    st.lists(st.floats(-10, 10), min_size=4, max_size=40),
    st.floats(-5, 5),
    st.sampled_from([0.01, 0.025, 0.05, 0.2]),
)
def test_bounds_are_in_order_and_mirror(values, factor, level):
    names = [str(i) for i in range(len(values))]
    bounds = difference_bounds(values, names, level, span=20.0)
    if bounds.low is None:
        return
    assert bounds.low <= bounds.high
    mirrored = difference_bounds([-v for v in values], names, level, span=20.0)
    assert (mirrored.low, mirrored.high) == pytest.approx((-bounds.high, -bounds.low), abs=1e-9)
    scaled = difference_bounds([abs(factor) * v for v in values], names, level, span=abs(factor) * 20.0)
    assert scaled.high == pytest.approx(abs(factor) * bounds.high, abs=1e-9)


def test_seeds_of_one_prompt_count_once():
    """Copies of every difference within its prompt change nothing."""
    values, names = np.random.default_rng(1).standard_normal(20), [str(i) for i in range(20)]
    one = difference_bounds(values, names, 0.05)
    four = difference_bounds(np.repeat(values, 4), np.repeat(names, 4).tolist(), 0.05)
    assert (four.low, four.high) == pytest.approx((one.low, one.high))
