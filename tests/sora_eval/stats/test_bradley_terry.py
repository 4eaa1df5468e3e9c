"""Strengths of voters who are known: recovered, within intervals as often as they say, with ties and a favourite side."""

import numpy as np
import pytest

from sora_eval.stats.bradley_terry import LEFT, RIGHT, TIE, bradley_terry
from sora_eval.util.errors import RefusedError

TRUTH = np.array([0.8, 0.1, -0.9])
SIDE, TIES = 0.4, -0.5


def voted(rng, n, prompts=40, side=SIDE, ties=TIES, spread=0.0):
    """Votes of voters with these strengths; `spread` is how much a prompt's own strengths vary."""
    prompt = rng.integers(0, prompts, n)
    own = TRUTH + spread * rng.standard_normal((prompts, 3))
    left = rng.integers(0, 3, n)
    right = (left + rng.integers(1, 3, n)) % 3
    s = own[prompt, left] - own[prompt, right] + side
    weights = np.stack([np.exp(s / 2), np.exp(-s / 2), np.full(n, np.exp(ties))])
    choice = (rng.random(n) > np.cumsum(weights / weights.sum(0), 0)).sum(0)
    return left, right, np.array([LEFT, RIGHT, TIE])[choice], [str(p) for p in prompt]


def test_strengths_side_and_ties_are_recovered(rng):
    left, right, votes, prompts = voted(rng, 8000)
    fit = bradley_terry(left, right, votes, 3, prompts)
    assert fit.values == pytest.approx(TRUTH, abs=0.1)
    assert fit.values.sum() == pytest.approx(0, abs=1e-9)
    assert fit.side == pytest.approx(SIDE, abs=0.1)
    assert fit.tie == pytest.approx(TIES, abs=0.1)


def test_two_runs_without_ties_have_the_odds_of_their_votes():
    left, right, votes = [0, 1] * 40, [1, 0] * 40, [LEFT, RIGHT] * 30 + [RIGHT, LEFT] * 10
    fit = bradley_terry(left, right, votes, 2, [str(i % 8) for i in range(80)])
    assert fit.values[0] - fit.values[1] == pytest.approx(np.log(60 / 20), abs=1e-5)
    assert fit.side == pytest.approx(0.0, abs=1e-6)
    assert fit.tie is None


def test_the_order_of_votes_and_the_names_of_sides_change_nothing(rng):
    left, right, votes, prompts = voted(rng, 400)
    fit = bradley_terry(left, right, votes, 3, prompts)
    order = rng.permutation(400)
    again = bradley_terry(right[order], left[order], -votes[order], 3, [prompts[i] for i in order])
    assert again.values == pytest.approx(fit.values, abs=1e-5)
    assert again.side == pytest.approx(-fit.side, abs=1e-5)
    assert again.intervals[0].low == pytest.approx(fit.intervals[0].low, abs=1e-4)


def test_intervals_hold_the_truth_as_often_as_they_say(rng):
    held = np.zeros(4)
    for _ in range(150):
        left, right, votes, prompts = voted(rng, 360, prompts=60)
        fit = bradley_terry(left, right, votes, 3, prompts)
        ends = [*fit.intervals, fit.side_interval]
        held += [i.low <= t <= i.high for i, t in zip(ends, [*TRUTH, SIDE], strict=True)]
    assert (held / 150 >= 0.9).all(), held  # 95 %; 0.9 is 2.8 standard errors below


def test_strengths_without_a_bound_are_refused():
    with pytest.raises(RefusedError, match="always win, always lose, or are never compared"):
        bradley_terry([0, 1], [1, 0], [LEFT, RIGHT], 2, ["a", "b"])
    with pytest.raises(RefusedError, match="never compared"):
        bradley_terry([0, 1], [1, 0], [LEFT, LEFT], 3, ["a", "b"])
    with pytest.raises(RefusedError, match="same side"):
        bradley_terry([0, 1, 0], [1, 0, 1], [LEFT, LEFT, LEFT], 2, ["a", "b", "c"])
    with pytest.raises(RefusedError, match="every vote is a tie"):
        bradley_terry([0, 1], [1, 0], [TIE, TIE], 2, ["a", "b"])
