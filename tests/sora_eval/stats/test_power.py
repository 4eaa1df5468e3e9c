"""Holm keeps its level; what is called detectable is detected; what is called enough is enough."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.stats.power import ALPHA, detectable, holm, permutations_for, units_needed


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_holm_is_no_smaller_than_p_keeps_the_order_and_knows_no_order_of_rows(p, random):
    adjusted = holm(p)
    assert all(a >= q for a, q in zip(adjusted, p, strict=True))
    for i, j in np.argwhere(np.less.outer(p, p)):
        assert adjusted[i] <= adjusted[j]
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[i] for i in order]) == pytest.approx([adjusted[i] for i in order])


@pytest.mark.parametrize("tests", [1, 7, 20, 100])
def test_the_strictest_threshold_can_be_reached(tests):
    """5 of P + 1 patterns may be as extreme, and the gate still fires."""
    assert 5 / (permutations_for(tests) + 1) <= ALPHA / tests


@pytest.mark.parametrize(("allowed", "alpha"), [(0.0, 0.05), (3.0, 0.05), (0.5, 0.005)])
def test_the_detectable_change_is_detected_four_times_in_five(allowed, alpha, rng):
    from scipy import stats

    change = detectable(1.0, allowed, alpha)
    seen = rng.normal(change, 1.0, 20_000)
    fires = (seen > allowed) & (2 * stats.norm.sf(np.abs(seen)) <= alpha)
    assert fires.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("change", "allowed"), [(0.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.0), (1.2, 1.0)])
def test_the_needed_units_decide_four_times_in_five(change, allowed, rng):
    from scipy import stats

    error, units = 3.0, 10
    needed = units_needed(units, error, change, allowed)
    at = error * np.sqrt(units / needed)
    seen = rng.normal(change, at, 20_000)
    if change <= allowed:
        decided = seen + stats.norm.ppf(0.95) * at <= allowed
    else:
        decided = (seen > allowed) & (2 * stats.norm.sf(np.abs(seen) / at) <= ALPHA)
    assert decided.mean() == pytest.approx(0.8, abs=0.02)


def test_no_number_of_units_settles_a_change_at_the_limit():
    assert units_needed(10, 1.0, 0.5, 0.5) is None
    assert units_needed(10, 1.0, 0.0, float("inf")) is None
    assert units_needed(10, 0.0, 0.0, 1.0) == 11  # never fewer than there were
