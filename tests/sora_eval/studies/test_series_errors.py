"""Virtual series are drawn from the pool's own clips; rates count the first alarm of each."""

from functools import reduce

import numpy as np
import pytest

from docs.pages.series import block
from sora_eval.studies.series_errors import SeriesRates, draw_series, series_rates
from sora_eval.suite import Gate
from sora_eval.util.errors import SuiteError
from tests.runs import make_data

PROMPTS = [f"p{i:02d}" for i in range(16)]
GATES = {"m": Gate(max_increase=5.0)}
HARD = np.random.default_rng(0).normal(10, 2, len(PROMPTS))
STILL = (0.0,) * 6


def pool(count, shift=0.0):
    """Runs of one checkpoint, every score another number."""
    rngs = [np.random.default_rng([int(10 * shift), k]) for k in range(count)]
    return [make_data({"m": HARD + rng.normal(shift, 0.4, len(PROMPTS))}, PROMPTS) for rng in rngs]


def scores(data):
    return {row.value for row in data.scores["m"].values()}


def test_the_baseline_and_the_runs_share_no_clip_and_a_share_is_of_the_worse_generator():
    base, worse = pool(7), pool(2, 3.0)
    rng = np.random.default_rng(1)
    baseline, runs = draw_series(base, worse, [0.0, 0.5, 1.0], rng, (4, 2))
    assert len(baseline.samples) == 4 * len(PROMPTS)
    assert [len(run.samples) for run in runs] == [2 * len(PROMPTS)] * 3
    assert not any(scores(baseline) & scores(run) for run in runs)
    bad = set.union(*map(scores, worse))
    counts = [len(scores(run) & bad) for run in runs]
    assert counts[0] == 0
    assert 8 <= counts[1] <= 24
    assert counts[2] == 2 * len(PROMPTS)  # a clip is never in a run twice
    assert not set(runs[0].samples) & set(runs[1].samples)  # other seeds


def test_with_the_same_seeds_runs_in_which_nothing_changed_are_equal():
    _, runs = draw_series(pool(7), [], STILL, np.random.default_rng(2), (4, 2), same_seeds=True)
    assert all(run.scores == runs[0].scores for run in runs)


def rates(worse, shares, draws, **options):
    return reduce(SeriesRates.joined, series_rates("arm", pool(7), worse, GATES, shares, draws, **options))


def test_nothing_changed_is_seldom_an_alarm_and_a_decline_is_found_in_order():
    still = rates([], STILL, 12)
    assert (still.draws, still.onset) == (12, 6)
    assert still.rate("budget")[0] == 0
    assert still.rate("decline")[0] <= 1 / 12  # 0.14 % of the series
    falling = rates(pool(2, 1.2), (0.0, 0.0, 1.0, 1.0, 1.0, 1.0), 12)
    assert falling.onset == 2
    assert falling.rate("single gates")[0] >= 0.9
    for single, budget in zip(falling.first["single gates"], falling.first["budget"], strict=True):
        assert budget is None or single <= budget  # the budget confirms what a single gate found
    assert 1 <= falling.delay("single gates") <= 4
    text = block([still, falling], 7)
    assert "| arm" in text
    assert "1 runs" in text or "2 runs" in text


def test_the_rates_do_not_depend_on_the_workers():
    assert rates([], STILL[:3], 3, workers=1) == rates([], STILL[:3], 3, workers=2)


def test_delay_is_that_of_the_given_share_of_the_series():
    some = SeriesRates("x", (0.0, 0.1, 0.2, 0.3), {"single gates": (4, None, 2, 3)})
    assert some.delay("single gates") == 2  # two of four have it by run 3, the second worse one
    assert some.delay("single gates", 1.0) is None


def test_a_pool_that_cannot_be_drawn_from_is_refused():
    with pytest.raises(SuiteError, match="8 and 4 are needed for 4 against 4"):
        rates([], STILL, 1, seeds=(4, 4))
    with pytest.raises(SuiteError, match="and 1 of the worse generator"):
        rates(pool(1), (0.5,), 1)
    with pytest.raises(SuiteError, match="no gate is of scores of clips; scores: m"):
        list(series_rates("arm", pool(7), [], {"fvd": Gate(max_increase=5.0)}, STILL, 1))
