"""Two sessions of one checkpoint are no regression, however many repeats each has; a change past their noise is one."""

from dataclasses import replace

import numpy as np
import pytest

from sora_eval.compare.difference import difference
from sora_eval.compare.run_data import data_of
from sora_eval.gate.sessions import across_sessions
from sora_eval.records.verdict import Verdict
from sora_eval.suite.tables import Sessions
from tests.runs import make_data, make_run, values

SHAPE = "32x32x9"
BETWEEN, WITHIN = 0.05, 0.01


def session(path, seed, factor=1.0, **head):
    """A run whose session is slower or faster as a whole by 5 %, its repeats by 1 %."""
    rng = np.random.default_rng([9, seed])
    seconds = factor * np.exp(BETWEEN * rng.standard_normal() + WITHIN * rng.standard_normal(12))
    return replace(data_of(make_run(path / f"s{seed}-{factor}", seconds={SHAPE: seconds.tolist()}, **head)), profile="desk")


def measured(base, new):
    return difference(base, new, "latency", SHAPE, profile="desk")


def test_noise_between_sessions_is_called_a_regression_without_the_component_and_seldom_with_it(tmp_path):
    draws = 40
    pairs = [measured(session(tmp_path, 2 * i), session(tmp_path, 2 * i + 1)) for i in range(draws)]
    assert sum(d.p <= 0.05 for d in pairs) >= draws // 2  # 12 repeats against 12 take a session for a population
    base = make_data({}, [])
    judged = [across_sessions(d, base, base, Sessions(runs=8, percent=100 * BETWEEN)) for d in pairs]
    assert sum(d.p <= 0.05 for d in judged) <= 5
    assert sum(d.interval.low <= 0 <= d.interval.high for d in judged) >= draws - 5
    for plain, wide in zip(pairs, judged, strict=True):
        assert wide.change == plain.change
        assert wide.interval.low < wide.bounds.low < wide.change < wide.bounds.high < wide.interval.high
        assert wide.interval.high - wide.interval.low > plain.interval.high - plain.interval.low


def test_a_change_past_the_noise_is_seen_and_without_the_component_nothing_is_decided(tmp_path):
    base, slow = session(tmp_path, 0), session(tmp_path, 1, factor=2.0)
    d = measured(base, slow)
    assert across_sessions(d, base, slow, Sessions(runs=8, percent=5.0)).p < 0.001
    unknown = across_sessions(d, base, slow, None)
    assert unknown.status is Verdict.INCONCLUSIVE
    assert "the noise between sessions is not known" in unknown.reason


def test_the_interval_is_student_t_of_the_logarithm(tmp_path):
    base, new = session(tmp_path, 0), session(tmp_path, 1)
    d = across_sessions(measured(base, new), base, new, Sessions(runs=5, percent=10.0))
    reach = 2.7764451 * 2**0.5 * 0.1  # t(0.975) of 4 degrees of freedom
    assert (d.base + d.interval.low) / d.base == pytest.approx(d.new / d.base * np.exp(-reach))
    assert (d.base + d.interval.high) / d.base == pytest.approx(d.new / d.base * np.exp(reach))


def test_one_session_and_other_metrics_stay_as_they_are(tmp_path):
    same = {"session": "s", "matrix_peak_flops": None}
    base, new = (session(tmp_path, i, bench=same) for i in range(2))
    d = measured(base, new)
    assert across_sessions(d, base, new, None) == d
    clips = make_data({"m": values(0)}, [f"p{i}" for i in range(24)])
    quality = difference(clips, clips, "m")
    assert across_sessions(quality, clips, clips, None) == quality
    missing = difference(clips, clips, "latency", SHAPE)
    assert across_sessions(missing, clips, clips, None) == missing
