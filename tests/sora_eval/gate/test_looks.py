"""Looks share the error out: their levels add up to alpha, and a gate that is looked at often errs no more often."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sora_eval.compare.run_data import restricted
from sora_eval.gate.judge import gate
from sora_eval.gate.looks import LEAST_SHARE, SPENDING, is_decided, looks
from sora_eval.records.verdict import GateResult, GateRow, Verdict
from sora_eval.runs.head import Sequential
from sora_eval.stats.cluster_means import difference_bounds, difference_interval
from sora_eval.stats.intervals import RESAMPLES, jackknife_interval, resamples_for
from sora_eval.stats.power import ALPHA, permutations_for
from sora_eval.suite import Gate
from sora_eval.util.errors import SuiteError
from tests.runs import make_data, make_run, reopened

kinds = st.sampled_from(list(SPENDING))


@given(st.integers(1, 300), st.integers(1, 300), kinds, st.floats(0.001, 0.2))
def test_levels_add_up_to_alpha_and_the_last_look_has_the_whole_pool(pool, batch, kind, alpha):
    planned = looks(pool, batch, kind, alpha)
    assert sum(look.alpha for look in planned) == pytest.approx(alpha)
    assert planned[-1].prompts == pool
    assert all(a.prompts < b.prompts for a, b in zip(planned, planned[1:], strict=False))
    assert all(look.alpha >= LEAST_SHARE * alpha * (1 - 1e-9) for look in planned[:-1])
    assert all(look.alpha > 0 for look in planned)


@given(kinds, st.floats(0.001, 0.2), st.lists(st.floats(0, 1), min_size=2))
def test_spending_grows_from_0_to_alpha(kind, alpha, shares):
    spent = [SPENDING[kind](t, alpha) for t in [0.0, *sorted(shares), 1.0]]
    assert spent[0] == 0
    assert spent[-1] == pytest.approx(alpha)
    assert all(a <= b + 1e-15 for a, b in zip(spent, spent[1:], strict=False))


def test_one_look_is_the_plain_gate():
    for kind in SPENDING:
        assert [(look.prompts, look.alpha) for look in looks(32, 32, kind)] == [(32, ALPHA)]
        assert looks(5, 100, kind)[0].alpha == ALPHA


def test_published_values_of_the_spending_functions():
    """gsDesign's sfLDOF and sfLDPocock at alpha 0.025: 0.0015 and 0.0155 at half of the information."""
    assert SPENDING["obrien-fleming"](0.5, 0.025) == pytest.approx(2 * stats.norm.sf(2.2414 / np.sqrt(0.5)), rel=1e-3)
    assert SPENDING["obrien-fleming"](0.5, 0.025) == pytest.approx(0.0015, abs=5e-5)
    assert SPENDING["pocock"](0.5, 0.025) == pytest.approx(0.0155, abs=5e-5)


def test_an_unknown_spending_function_is_named_with_the_known_ones():
    with pytest.raises(SuiteError, match="did you mean 'pocock'"):
        looks(32, 8, "pococks")


# The level goes through to tests and intervals


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.0025])
def test_a_smaller_level_has_permutations_resamples_and_intervals_to_match(alpha, rng):
    assert 5 / (permutations_for(7, alpha) + 1) <= alpha / 7
    assert resamples_for(1 - alpha) * alpha >= RESAMPLES * 0.05 * (1 - 1e-6)
    values, prompts = rng.standard_normal(30), [str(i) for i in range(30)]
    wide, usual = difference_interval(values, prompts, confidence=1 - alpha), difference_interval(values, prompts)
    assert wide.high - wide.low >= usual.high - usual.low
    bounds = difference_bounds(values, prompts, alpha)
    assert usual.low <= bounds.low if alpha == 0.05 else bounds.low <= usual.low
    left_out = [np.delete(values, i).mean() for i in range(30)]
    assert jackknife_interval(left_out, 0.0, 1 - alpha).high == pytest.approx(
        stats.t.ppf(1 - alpha / 2, 29) * values.std(ddof=1) / np.sqrt(30)
    )


def test_a_verdict_that_5_percent_supports_is_open_at_a_smaller_level(rng):
    prompts = [f"p{i:02d}" for i in range(16)]
    base = 10 + rng.standard_normal(16)
    new = base + 2 + 3 * rng.standard_normal(16)
    sides = [make_data({"m": v}, prompts) for v in (base, new)]
    p = gate(sides[1], sides[0], {"m": Gate(max_increase=1.0)}).rows[0].p
    for alpha, expected in ((p * 1.01, Verdict.REGRESSED), (p * 0.99, Verdict.INCONCLUSIVE)):
        result = gate(sides[1], sides[0], {"m": Gate(max_increase=1.0)}, alpha=alpha)
        assert result.verdict is expected
        assert result.alpha == alpha
        assert GateResult.from_json(result.to_json()) == result


# Sides cut to prompts


def test_a_side_cut_to_prompts_is_the_run_that_asked_no_others(tmp_path, rng):
    scores, vectors = rng.standard_normal((2, 24)), rng.standard_normal((2, 24, 4))
    real = rng.standard_normal((24, 4))
    ten = {f"p{i:02d}" for i in range(10)}
    whole, short = [], []
    for k in range(2):
        whole.append(reopened(make_run(tmp_path / f"w{k}", {"m": scores[k]}, {"fvd": vectors[k]}, reference=real)))
        cut = make_run(tmp_path / f"s{k}", {"m": scores[k][:20]}, {"fvd": vectors[k][:20]}, prompts=10, reference=real[:20])
        short.append(replace(reopened(cut), references=whole[0].references))
    for metric in ("m", "fvd"):
        spec = {metric: Gate(max_increase=1.0)}
        cut_rows = gate(restricted(whole[1], ten), restricted(whole[0], ten), spec).rows[0]
        expected = gate(short[1], short[0], spec).rows[0]
        assert (cut_rows.change, cut_rows.p, cut_rows.low) == (expected.change, expected.p, expected.low)
        assert cut_rows.verdict is expected.verdict
    assert len(restricted(whole[0], ten).references["fvd"][0]) == 24  # the reference set stays whole


def sized(new, prompts, pool=16, alpha=ALPHA, decided=True):
    record = Sequential(
        baseline="b.json",
        baseline_run="",
        profile=None,
        strict=False,
        batch=8,
        spending="pocock",
        pool=pool,
        prompts=tuple(prompts),
        alpha=alpha,
        decided=decided,
    )
    return replace(restricted(new, prompts), head=new.head.model_copy(update={"sequential": record}))


def test_a_sized_run_is_compared_on_its_prompts_and_a_lost_case_is_still_missing(rng):
    prompts = [f"p{i:02d}" for i in range(16)]
    base = make_data({"m": 10 + rng.standard_normal(16)}, prompts)
    again = {i: r.model_copy(update={"value": r.value + 0.01 * rng.standard_normal()}) for i, r in base.scores["m"].items()}
    run = sized(replace(base, scores={"m": again}), prompts[:8], alpha=0.01)
    result = gate(run, base, {"m": Gate(max_increase=5.0)})
    assert (result.verdict, result.alpha, result.rows[0].n) == (Verdict.PASS, 0.01, 8)
    assert result.headline == "gate: PASS (1 gate); decided after 8 of 16 prompts"
    assert result.interval_name == "99 % interval"
    lost = {i: s for i, s in run.samples.items() if s.prompt_id != "p03"}
    gone = replace(run, samples=lost, scores={"m": {i: r for i, r in run.scores["m"].items() if i in lost}})
    assert gate(gone, base, {"m": Gate(max_increase=5.0)}).verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("verdicts", "decided"),
    [
        ({"m": "PASS", "n": "IMPROVED"}, True),
        ({"m": "REGRESSED", "n": "INCONCLUSIVE"}, True),
        ({"m": "PASS", "n": "INCONCLUSIVE"}, False),
        ({"m": "PASS", "n": "ERROR"}, False),
        ({"m": "MISSING", "n": "PASS"}, False),
        ({"m": "NOT_COMPARABLE", "n": "INCONCLUSIVE"}, False),
        ({"m": "NOT_COMPARABLE", "n": "PASS"}, True),
        ({"latency": "INCONCLUSIVE", "n": "PASS"}, True),
        ({"latency": "INCONCLUSIVE", "n": "INCONCLUSIVE"}, False),
    ],
)
def test_what_more_prompts_may_decide_is_waited_for(verdicts, decided):
    rows = tuple(GateRow(m, "all", Verdict(v), "", "", 0.0) for m, v in verdicts.items())
    assert is_decided(GateResult(rows, False, None, {}, {})) is decided


# Error rates over all looks


def decide(base, new, prompts, spec, levels):
    """(verdict, prompts used) of a sequence of looks."""
    for look in levels:
        sides = [make_data({"m": v[: look.prompts]}, prompts[: look.prompts]) for v in (base, new)]
        result = gate(sides[1], sides[0], {"m": spec}, alpha=look.alpha)
        if is_decided(result):
            break
    return result.verdict, look.prompts


DRAWS = 150


@pytest.fixture
def cheap(monkeypatch):
    """Fewer permutations and resamples: p stays valid with any number, and only p and the end of looking are counted."""
    monkeypatch.setattr("sora_eval.gate.judge.SWAP_PERMUTATIONS", 0)
    monkeypatch.setattr("sora_eval.stats.intervals.RESAMPLES", 200)


@pytest.mark.parametrize("kind", list(SPENDING))
def test_the_same_checkpoint_is_regressed_in_at_most_5_percent_over_all_looks(kind, rng, cheap):
    """A gate without any limit calls every supported change REGRESSED: its errors are those of the test alone."""
    prompts, levels = [f"p{i:02d}" for i in range(24)], looks(24, 6, kind)
    strict = Gate(max_increase=0.0, max_decrease=0.0)
    drawn = [decide(*(5 + rng.standard_normal((2, 24))), prompts, strict, levels)[0] for _ in range(DRAWS)]
    wrong = sum(v is Verdict.REGRESSED for v in drawn)
    assert stats.binomtest(wrong, DRAWS, ALPHA, alternative="greater").pvalue > 0.01
    assert not any(v is Verdict.PASS for v in drawn)


def test_looks_at_5_percent_each_would_err_more_often(rng, cheap):
    """The same draws without spending: the test above can fail."""
    prompts = [f"p{i:02d}" for i in range(24)]
    levels = [replace(look, alpha=ALPHA) for look in looks(24, 2, "pocock", 0.05)]
    assert len(levels) > 8
    strict = Gate(max_increase=0.0, max_decrease=0.0)
    drawn = [decide(*(5 + rng.standard_normal((2, 24))), prompts, strict, levels)[0] for _ in range(DRAWS)]
    wrong = sum(v is Verdict.REGRESSED for v in drawn)
    assert stats.binomtest(wrong, DRAWS, ALPHA, alternative="greater").pvalue < 0.01


def test_a_large_change_is_decided_early_and_what_stays_open_uses_the_pool(rng, cheap):
    prompts, levels = [f"p{i:02d}" for i in range(32)], looks(32, 8)
    base = 10 + 0.1 * rng.standard_normal(32)
    noise = 0.3 * rng.standard_normal(32)
    spec = Gate(max_increase=5.0)
    assert decide(base, base + 3 + noise, prompts, spec, levels) == (Verdict.REGRESSED, 16)
    assert decide(base, base + 0.1 * noise, prompts, spec, levels) == (Verdict.PASS, 16)
    unclear = base + 0.3 + np.tile([2.0, -2.0], 16)  # inside the limit of 0.5, by less than the noise
    assert decide(base, unclear, prompts, spec, levels) == (Verdict.INCONCLUSIVE, 32)
