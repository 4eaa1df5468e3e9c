"""Prediction-powered means: unbiased for any metric, narrower for a good one, and as certain as they say."""

import numpy as np
import pytest
from scipy.stats import norm

from sora_eval.stats.prediction_powered import prediction_powered_mean

EACH = 4  # cases of a prompt


def drawn(rng, helps, labelled=20, prompts=60):
    """Votes of -1, 0 or 1 whose mean is known, with labels for some prompts, and a metric of its own scale and zero."""
    prompt = np.repeat(np.arange(prompts), EACH)
    quality = 0.2 + 0.5 * rng.standard_normal(prompts)[prompt] + 0.5 * rng.standard_normal(len(prompt))
    votes = np.sign(quality + 0.5 * rng.standard_normal(len(prompt)))
    metric = 3 * (quality if helps else rng.standard_normal(len(prompt))) - 7
    known = np.isin(prompt, rng.choice(prompts, labelled, replace=False))
    return np.where(known, votes, np.nan), metric, [str(p) for p in prompt]


TRUTH = 2 * norm.cdf(0.2 / np.sqrt(0.75)) - 1


@pytest.mark.parametrize("helps", [True, False])
def test_intervals_hold_the_truth_as_often_as_they_say_and_a_good_metric_narrows_them(helps, rng):
    held, widths, errors = 0, [], []
    for _ in range(300):
        powered = prediction_powered_mean(*drawn(rng, helps), span=2.0)
        held += powered.interval.low <= TRUTH <= powered.interval.high
        widths.append(np.ptp([powered.interval.low, powered.interval.high]))
        widths[-1] /= np.ptp([powered.alone_interval.low, powered.alone_interval.high])
        errors.append(powered.value - TRUTH)
    assert held / 300 >= 0.92  # 95 %; 2.4 standard errors below
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(300)
    assert np.median(widths) < 0.85 if helps else np.median(widths) < 1.1


def test_the_scale_and_the_sign_of_a_metric_do_not_matter(rng):
    votes, metric, prompts = drawn(rng, True)
    a = prediction_powered_mean(votes, metric, prompts, 2.0)
    b = prediction_powered_mean(votes, 5 - 1000 * metric, prompts, 2.0)
    assert (b.value, b.interval.low) == pytest.approx((a.value, a.interval.low))
    assert b.weight == pytest.approx(-a.weight / 1000)


def test_without_cases_to_predict_or_enough_votes_the_votes_stand_alone(rng):
    votes, metric, prompts = drawn(rng, True, labelled=60)
    powered = prediction_powered_mean(votes, metric, prompts, 2.0)
    assert (powered.value, powered.weight) == (powered.alone, 0.0)
    constant = prediction_powered_mean([1.0, 0.0, -1.0, np.nan], [2.0] * 4, [*"abcd"], 2.0)
    assert (constant.value, constant.weight) == (0.0, 0.0)
    with pytest.raises(ValueError, match="no case has a label"):
        prediction_powered_mean([np.nan], [1.0], ["a"], 2.0)
