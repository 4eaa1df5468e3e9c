"""A gate is green only for what was measured and lies inside its limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sora_eval.compare.comparison import compare
from sora_eval.compare.difference import difference
from sora_eval.gate.judge import allowed_change, gate, within
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.suite import Gate
from sora_eval.suite.tables import Sessions
from tests.runs import PROMPTS, UP, edit, make_data, make_run, reopened, values, verdict

# The comparator


@given(st.floats(0, 1e6), st.floats(-1e6, 1e6))
def test_a_nan_is_never_within_and_equality_always_is(bound, scale):
    assert not within(math.nan, bound, scale)
    assert not within(None, bound, scale)
    assert within(bound, bound, scale)
    assert not within(bound + max(1.0, abs(bound), abs(scale)) * 1e-6, bound, scale)


@given(base=st.floats(1e-3, 1e3), percent=st.floats(0, 200), floor=st.floats(0, 10))
def test_both_limit_and_floor_must_be_passed_and_equality_passes(base, percent, floor):
    allowed = allowed_change(percent, floor, base)
    assert allowed >= floor
    assert allowed >= percent / 100 * base
    # A change made of the rounded numbers that a table shows counts as equal.
    new = base * (1 + percent / 100)
    assert within(new - base, allowed, new)
    assert allowed_change(None, floor, base) == math.inf
    assert allowed_change(percent, floor, -base) == floor == allowed_change(percent, floor, 0.0)


def test_a_change_exactly_at_the_limit_is_not_regressed():
    base = np.full(24, 0.3)
    assert verdict(base, base * 1.1).verdict is Verdict.INCONCLUSIVE  # 0.33 - 0.3 is 0.030000000000000027
    assert verdict(base, base * 1.1001).verdict is Verdict.REGRESSED


# Properties of the verdict


numbers = st.lists(st.floats(0.5, 20), min_size=24, max_size=24)


@settings(max_examples=15)
@given(a=numbers, b=numbers, up=st.floats(0, 30), floor=st.floats(0, 3), rising=st.booleans())
def test_swapping_the_runs_swaps_improved_and_regressed(a, b, up, floor, rising):
    spec = Gate(max_increase=up, floor=floor) if rising else Gate(max_decrease=up, floor=floor)
    there, back = verdict(a, b, spec).verdict, verdict(b, a, spec).verdict
    assert (there is Verdict.REGRESSED) == (back is Verdict.IMPROVED)
    assert (there is Verdict.IMPROVED) == (back is Verdict.REGRESSED)


@settings(max_examples=15)
@given(a=numbers, limit=st.floats(0, 20))
def test_identical_clips_pass_at_any_limit_and_say_so(a, limit):
    data = make_data({"m": np.array(a)}, PROMPTS)
    data = replace(data, samples={i: row.model_copy(update={"sha256": i}) for i, row in data.samples.items()})
    row = gate(data, data, {"m": Gate(max_increase=limit, max_decrease=limit)}).rows[0]
    assert row.verdict is Verdict.PASS
    assert (row.change, row.seeds) == (0, "the clips are identical")


def test_equal_scores_of_other_clips_pass_only_what_as_many_equal_prompts_can_exclude():
    """12 prompts of a rate of 1 on both sides cannot exclude that 22 % of prompts fail: 1 - 0.05^(1/12)."""
    base, new = (make_data({"m": np.ones(24)}, PROMPTS, higher=True) for _ in range(2))
    sides = [replace(d, metrics={k: r.model_copy(update={"span": 1.0}) for k, r in d.metrics.items()}) for d in (base, new)]
    found = [gate(sides[1], sides[0], {"m": Gate(max_decrease=limit)}).rows[0] for limit in (20.0, 23.0)]
    assert [str(r.verdict) for r in found] == ["INCONCLUSIVE", "PASS"]
    assert found[0].bound_low == pytest.approx(-(1 - 0.05 ** (1 / 12)))
    heads = [s.head.model_copy(update={"generator": s.head.generator.model_copy(update={"weights": "w"})}) for s in sides]
    known = [replace(side, head=head) for side, head in zip(sides, heads, strict=True)]
    assert gate(known[1], known[0], {"m": Gate(max_decrease=1.0)}).rows[0].verdict is Verdict.PASS  # other code


@settings(max_examples=15)
@given(a=numbers, b=numbers, seed=st.integers(0, 999))
def test_the_order_of_rows_never_matters(a, b, seed):
    order = np.random.default_rng(seed).permutation(24)
    sides = [make_data({"m": np.array(v)}, PROMPTS) for v in (a, b)]
    mixed = [make_data({"m": np.array(v)}, PROMPTS) for v in (a, b)]
    for side in mixed:
        for table in (side.samples, side.scores["m"]):
            items = list(table.items())
            table.clear()
            table.update(items[i] for i in order)
    gates = {"m": UP}
    assert gate(mixed[1], mixed[0], gates).rows == gate(sides[1], sides[0], gates).rows
    assert gate(sides[1], mixed[0], gates).rows == gate(sides[1], sides[0], gates).rows


@settings(max_examples=15)
@given(a=numbers, b=numbers, shifts=st.lists(st.integers(-50, 50), min_size=12, max_size=12))
def test_what_a_prompt_adds_to_both_runs_changes_nothing(a, b, shifts):
    assume(np.ptp(np.subtract(b, a)) > 1e-6)  # of equal differences the bound is as wide as the scores are
    shift = np.repeat(shifts, 2)
    plain = difference(*(make_data({"m": np.array(v)}, PROMPTS) for v in (a, b)), "m")
    moved = difference(*(make_data({"m": np.array(v) + shift}, PROMPTS) for v in (a, b)), "m")
    assert moved.change == pytest.approx(plain.change, abs=1e-9)
    assert moved.p == pytest.approx(plain.p, abs=2e-3)  # a tie may break by rounding
    assert moved.interval.low == pytest.approx(plain.interval.low, abs=1e-6)


@settings(max_examples=15)
@given(a=numbers, b=numbers)
def test_p_is_never_below_the_smallest_that_the_test_can_give(a, b):
    row = verdict(a, b)
    assert row.p >= 1 / (9999 + 1)
    assert row.p_adjusted >= row.p


@settings(max_examples=15)
@given(a=st.lists(st.floats(0.5, 20), min_size=1, max_size=6), factor=st.floats(0.1, 10))
def test_fewer_than_two_clusters_are_inconclusive(a, factor):
    row = verdict(a, np.array(a) * factor, prompts=["p"] * 6)
    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.reason.startswith("1 prompt is no evidence")


# REGRESSED needs all three, PASS the whole interval


def test_limit_floor_and_test_are_all_needed():
    base, noise = values(0), 0.01 * values(1, 0.0)
    assert verdict(base, base + 2).verdict is Verdict.REGRESSED
    assert verdict(base, base + 0.5 + noise).verdict is Verdict.PASS  # significant, inside the limit
    assert (
        verdict(base, base + 2 + noise, Gate(max_increase=10.0, floor=3.0)).verdict is Verdict.PASS
    )  # past the limit, not the floor
    noisy = base + np.random.default_rng(2).standard_normal(24) * 9 + 2
    row = verdict(base, noisy)  # past both, but not beyond noise
    assert row.change > 1
    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.detectable > 1
    assert row.prompts_needed > 12
    assert "see a change of" in row.reason
    assert f"about {row.prompts_needed} prompts would settle it" in row.reason


def test_a_fall_needs_as_many_prompts_as_the_same_rise_under_equal_limits():
    base, noise = np.full(24, 10.0), np.random.default_rng(1).standard_normal(24) * 5
    noise -= noise.mean()
    spec = Gate(max_increase=10.0, max_decrease=10.0)
    rise, fall = (verdict(base, base + sign * (1.3 + noise), spec) for sign in (1, -1))
    assert rise.verdict is fall.verdict is Verdict.INCONCLUSIVE
    assert rise.change == pytest.approx(-fall.change)
    assert rise.prompts_needed == fall.prompts_needed > 24


def test_an_interval_that_crosses_the_limit_does_not_pass():
    base = values(0)
    row = verdict(base, base + 0.5 + np.random.default_rng(2).standard_normal(24) * 3)
    assert row.change < 1 < row.high
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "crosses the limit" in row.reason


def test_too_few_prompts_to_ever_fire_are_named():
    prompts = [f"p{i}" for i in range(5)]  # 2 / 2^5 = 0.0625
    row = verdict(np.full(5, 10.0), np.full(5, 20.0), prompts=prompts)
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "5 prompts give no p below 0.062, and Holm over 1 tests asks for 0.05" in row.reason
    assert row.detectable is None


def test_holm_counts_every_gated_row():
    base = values(0)
    new = base + 1.2 + np.random.default_rng(5).standard_normal(24) * 2
    alone = verdict(base, new)
    many = {f"m{i}": UP for i in range(12)}
    sides = [make_data(dict.fromkeys(many, v), PROMPTS) for v in (base, new)]
    rows = gate(sides[1], sides[0], many).rows
    assert alone.p_adjusted == alone.p
    assert all(r.p_adjusted == pytest.approx(min(1, 12 * r.p)) for r in rows)


@pytest.mark.parametrize(
    ("window", "expected"),
    [([9.0, 11.0], "PASS"), ([12.0, 20.0], "REGRESSED"), ([0.0, 8.0], "REGRESSED"), ([10.05, 20.0], "INCONCLUSIVE")],
)
def test_a_window_bounds_the_new_value_on_both_sides(window, expected):
    row = verdict(values(0), values(3), Gate(window=window))
    assert row.verdict == expected
    assert row.limit == f"{window[0]:g} .. {window[1]:g}"
    assert row.low < row.new < row.high


def test_a_gate_may_have_limits_and_a_window():
    sides = [make_data({"m": values(0) + noise}, PROMPTS) for noise in (0.0, 0.001 * values(1))]
    result = gate(sides[1], sides[0], {"m": Gate(max_increase=1.0, window=[20.0, 30.0])})
    assert [str(r.verdict) for r in result.rows] == ["PASS", "REGRESSED"]
    assert result.exit_code == 10


def test_sets_are_gated_by_swapping_prompts(tmp_path, rng):
    shared = rng.standard_normal((24, 6))
    real = rng.standard_normal((24, 6))
    runs = [
        make_run(tmp_path / name, features={"fvd": shared * scale}, reference=real) for name, scale in (("a", 1.0), ("b", 3.0))
    ]
    spec = {"fvd": Gate(max_increase=20.0)}
    worse, better, same = gate(runs[1], runs[0], spec), gate(runs[0], runs[1], spec), gate(runs[0], runs[0], spec)
    assert (worse.verdict, better.verdict, same.verdict) == (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.PASS)
    assert worse.rows[0].p <= 0.003
    assert worse.rows[0].base == pytest.approx(better.rows[0].new)


# Error rates of the whole gate


def test_repeats_regress_in_at_most_5_percent_of_gates_and_a_real_change_is_found():
    """Limits of 0 are the worst case: every chance change is past them."""
    gates = {f"m{i}": Gate(max_increase=0.0) for i in range(3)}
    false, found = 0, 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        level = draw.standard_normal((12, 1)) * 5 + 20

        def scores(shift, draw=draw, level=level):
            noise = level + draw.standard_normal((12, 1)) + draw.standard_normal((12, 2))
            return {f"m{i}": (noise + draw.standard_normal((12, 2)) + shift * (i == 1)).ravel() for i in range(3)}

        a, b, c = (make_data(scores(s), PROMPTS) for s in (0.0, 0.0, 4.0))
        false += gate(b, a, gates).verdict is Verdict.REGRESSED
        found += gate(c, a, gates).rows[1].verdict is Verdict.REGRESSED
    assert false <= 6  # 2 expected of 40 at most; more than 6 has p < 0.004
    assert found >= 36


# Speed


FAST, SLOW = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05], [1.30, 1.31, 1.32, 1.33, 1.34, 1.35]


def speed_runs(tmp_path, slow=SLOW, **head):
    return [
        make_run(tmp_path / n, {"m": values(0)}, seconds={"32x32x9": s, "40x24x9": FAST}, **head)
        for n, s in (("a", FAST), ("b", slow))
    ]


def test_interleaved_speed_is_gated_a_row_a_shape(tmp_path):
    a, b = speed_runs(tmp_path, bench={"session": "s1"})
    result = gate(b, a, {"latency": UP})
    assert [(r.slice, str(r.verdict)) for r in result.rows] == [("32x32x9", "REGRESSED"), ("40x24x9", "PASS")]
    assert result.rows[0].change_percent == pytest.approx(100 * (1.325 / 1.025 - 1))
    assert gate(a, b, {"latency": UP}).rows[0].verdict is Verdict.IMPROVED


def test_memory_is_gated_by_its_repeats_too(tmp_path):
    a, b = speed_runs(tmp_path, bench={"session": "s1"})
    for run in (a, b):
        rows = [r for r in run.rows(MetricRow) if r.metric == "latency"]
        run.append([r.model_copy(update={"metric": "peak_bytes", "unit": "byte"}) for r in rows])
    edit(b, TimingRow, lambda r: {**r, "bytes": 2 * r["bytes"]})
    spec = {"peak_bytes": Gate(max_increase=10.0)}
    assert [str(r.verdict) for r in gate(b, a, spec).rows] == ["REGRESSED", "REGRESSED"]
    assert gate(a, a, spec).verdict is Verdict.PASS
    assert [d.change_percent for d in compare(a, b).rows if d.metric == "peak_bytes"] == [100.0, 100.0]


def test_three_repeats_cannot_fire_and_say_so(tmp_path):
    a, b = speed_runs(tmp_path, slow=SLOW[:3], bench={"session": "s1"})
    edit(a, TimingRow, lambda r: r if r["repeat"] < 3 else None)
    row = gate(b, a, {"latency": Gate(max_increase=10.0, slice="32x32x9")}).rows[0]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "3 repeats give no p below 0.1" in row.reason


def test_speed_of_two_jobs_needs_a_profile_and_the_same_hardware(tmp_path):
    a, b = speed_runs(tmp_path)
    assert "not interleaved" in gate(b, a, {"latency": UP}).rows[0].reason
    spec = {"latency": Gate(max_increase=10.0, profile="desk", slice="32x32x9")}
    assert "--profile is None" in gate(b, a, spec).rows[0].reason
    assert "the baseline is of None" in gate(b, a, spec, profile="desk").rows[0].reason
    base = reopened(a)
    object.__setattr__(base, "profile", "desk")
    unknown = gate(b, base, spec, profile="desk").rows[0]
    assert unknown.verdict is Verdict.INCONCLUSIVE
    assert "the noise between sessions is not known" in unknown.reason
    known = {"latency": spec["latency"].model_copy(update={"sessions": Sessions(runs=6, percent=1.0)})}
    assert gate(b, base, known, profile="desk").rows[0].verdict is Verdict.REGRESSED
    b.update_head(hardware={"cpu": "slide rule", "cores": 2})
    row = gate(reopened(b), base, spec, profile="desk").rows[0]
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert row.reason == "hardware.cpu: abacus against slide rule"


def test_no_rows_are_never_green():
    empty = GateResult((), False, None, {}, {})
    assert empty.verdict is Verdict.MISSING
    assert empty.exit_code == 12
