"""Slices of two runs: what splits the cases, and the interval that a whole comparison uses."""

import numpy as np
import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.compare.slices import slice_rows
from sora_eval.stats.cluster_means import difference_interval, mean_interval
from tests.runs import make_run

PROMPTS = 12


@pytest.fixture
def pair(tmp_path, rng):
    scores = [{"clip_score": rng.standard_normal(2 * PROMPTS) + shift} for shift in (0, 1)]
    return [data_of(make_run(tmp_path / name, s, prompts=PROMPTS)) for name, s in zip("ab", scores, strict=True)]


def test_slices_are_those_of_shape_and_tag_and_what_splits_nothing_is_left_out(pair):
    rows = slice_rows(*pair)
    assert {(r.kind, r.slice) for r in rows} == {("shape", "32x32x9"), ("shape", "40x24x9"), ("tag", "even"), ("tag", "odd")}


def test_a_slice_is_the_mean_of_its_own_cases_with_the_interval_of_a_comparison(pair):
    row = next(r for r in slice_rows(*pair) if r.slice == "40x24x9")
    cases = sorted(pair[1].cases("40x24x9"))
    base, new = (np.array([data.scores["clip_score"][i].value for i in cases]) for data in pair)
    prompts = [pair[1].samples[i].prompt_id for i in cases]
    assert row.change == pytest.approx((new - base).mean(), abs=1e-12)
    assert (row.base, row.new) == pytest.approx((base.mean(), new.mean()), abs=1e-12)
    assert (row.n, row.prompts) == (PROMPTS, PROMPTS)
    expected = difference_interval(new - base, prompts)
    assert (row.interval.low, row.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_slice_of_noise_is_seldom_called_a_change_at_few_prompts(tmp_path):
    """With two prompts a percentile bootstrap called noise a change in 46 % of the draws; now they have no interval."""
    called = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        interval = difference_interval(rng.standard_normal(8), list("aabbccdd"))
        called.append(interval.low > 0 or interval.high < 0)
    assert np.mean(called) < 0.07
    assert difference_interval(rng.standard_normal(4), ["a", "a", "b", "b"]).low is None


def test_a_single_prompt_has_no_interval(tmp_path, rng):
    run = data_of(make_run(tmp_path / "one", {"clip_score": rng.standard_normal(2)}, prompts=1))
    rows = slice_rows(run, run)
    assert rows
    assert all(r.interval.low is None and r.interval.method == "none: fewer than 3 prompts" for r in rows)


def test_runs_of_other_seeds_have_the_same_slices(pair, tmp_path, rng):
    other = data_of(make_run(tmp_path / "c", {"clip_score": rng.standard_normal(2 * PROMPTS)}, prompts=PROMPTS, seed_offset=7))
    rows = slice_rows(pair[0], other)
    assert {r.slice for r in rows} == {r.slice for r in slice_rows(*pair)}
    assert all(r.n == len(other.cases(r.slice)) and r.interval.low <= r.change <= r.interval.high for r in rows)


def test_one_run_has_means_without_differences(pair):
    rows = slice_rows(None, pair[1])
    assert rows
    assert all(r.change is None and r.base is None for r in rows)
    assert all(r.interval.low <= r.new <= r.interval.high for r in rows)
    row = next(r for r in rows if r.slice == "even")
    values = [pair[1].scores["clip_score"][i].value for i in sorted(pair[1].cases("even"))]
    prompts = [pair[1].samples[i].prompt_id for i in sorted(pair[1].cases("even"))]
    assert mean_interval(values, prompts).low is not None
    assert row.new == pytest.approx(np.mean(values), abs=1e-12)
