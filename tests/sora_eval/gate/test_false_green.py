"""What was green elsewhere with nothing measured, and what cannot be compared, is never green here."""

import math

import numpy as np
import pytest

from sora_eval.gate.judge import gate
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow
from sora_eval.suite import Gate
from sora_eval.util.errors import SuiteError
from tests.runs import SHAPES, UP, edit, make_run, reopened, values, verdict


@pytest.fixture
def pair(tmp_path):
    noise = 0.001 * values(2, 0.0)
    sides = {"base": 0.0 * noise, "new": noise}
    return [make_run(tmp_path / name, {"m": values(0) + n, "other": values(1) + n}) for name, n in sides.items()]


def judged(pair, spec=UP, metric="m", **options):
    return gate(reopened(pair[1]), reopened(pair[0]), {metric: spec}, **options)


def test_the_untouched_pair_passes(pair):
    assert judged(pair).headline == "gate: PASS (1 gate)"
    assert judged(pair).exit_code == 0


def test_no_results(pair):
    for table in (MetricRow, ScoreRow, SampleRow):
        pair[1].replace(table, [])
    result = judged(pair)
    assert (result.verdict, result.exit_code) == (Verdict.ERROR, 12)
    assert "the run has no metrics" in result.headline


def test_a_missing_metric(pair):
    edit(pair[1], MetricRow, lambda r: None if r["metric"] == "m" else r)
    result = judged(pair)
    assert (result.verdict, result.exit_code) == (Verdict.MISSING, 12)


def test_a_metric_that_failed_whole_says_why(pair):
    def fail(row):
        if row["metric"] != "m":
            return row
        return {**row, "value": None, "status": "error", "reason": "weights are missing"}

    edit(pair[1], MetricRow, fail)
    result = judged(pair, metric="m.part")
    assert result.rows[0].verdict is Verdict.ERROR
    assert "weights are missing" in result.rows[0].reason


def test_a_renamed_case(pair):
    def rename(row):
        return {**row, "id": row["id"].replace("p03/", "p99/")}

    edit(pair[1], SampleRow, rename)
    edit(pair[1], ScoreRow, rename)
    result = judged(pair)
    assert (result.verdict, result.exit_code) == (Verdict.MISSING, 12)
    assert "2 cases are only in base (p03/32x32x9/0); 2 cases are only in new (p99/32x32x9/0)" in result.rows[0].reason


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_on_either_side(pair, side, value):
    edit(pair[side], MetricRow, lambda r: {**r, "value": value} if r["metric"] == "m" else r)
    result = judged(pair)
    assert (result.verdict, result.exit_code) == (Verdict.ERROR, 12)
    assert f"the value is {value}" in result.rows[0].reason


def test_a_nan_score_is_a_failed_case(pair):
    edit(pair[1], ScoreRow, lambda r: {**r, "value": math.nan} if r["id"].startswith("p03/32x32") else r)
    result = judged(pair)
    assert result.verdict is Verdict.ERROR
    assert "1 cases failed in new (p03/32x32x9/0)" in result.rows[0].reason


def test_a_value_without_scores_or_vectors_is_not_decided(pair):
    for run in pair:
        edit(run, ScoreRow, lambda r: None)
    result = judged(pair)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "nothing can be paired" in result.rows[0].reason


def test_no_baseline_and_an_empty_one(pair):
    nothing = gate(reopened(pair[1]), None, {"m": UP}, strict=True)
    assert (nothing.verdict, nothing.exit_code) == (Verdict.NO_BASELINE, 11)
    edit(pair[0], MetricRow, lambda r: None if r["metric"] == "m" else r)
    result = judged(pair, strict=True)
    assert (result.verdict, result.exit_code) == (Verdict.NO_BASELINE, 11)
    pair[0].replace(MetricRow, [])
    assert judged(pair, strict=True).exit_code == 11


@pytest.mark.parametrize("mean", [0.0, -10.0])
def test_a_zero_or_negative_baseline_has_no_percentage(mean):
    base = values(0) - values(0).mean() + mean
    noise = 0.01 * values(1, 0.0)
    assert verdict(base, base + 0.5).verdict is Verdict.REGRESSED  # no share of it is allowed
    assert verdict(base, base + 0.5 + noise, Gate(max_increase=10.0, floor=1.0)).verdict is Verdict.PASS
    assert verdict(base, base + noise, Gate(max_increase=10.0, floor=0.1)).verdict is Verdict.PASS
    row = verdict(np.zeros(24), np.full(24, 2.0))
    assert row.change_percent is None
    assert row.verdict is Verdict.REGRESSED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partial": True, "limit": 4}, "the run is partial: --limit 4"),
        ({"status": "started"}, "status 'started'"),
        ({"status": "error"}, "status 'error'"),
    ],
)
def test_a_partial_or_unfinished_run_cannot_be_gated_nor_be_gated_against(pair, changes, words):
    pair[1].update_head(**changes)
    result = judged(pair)
    assert (result.verdict, result.exit_code) == (Verdict.ERROR, 12)
    assert words in result.headline
    against = gate(reopened(pair[0]), reopened(pair[1]), {"m": UP}, strict=True)
    assert (against.verdict, against.exit_code) == (Verdict.NOT_COMPARABLE, 11)


def test_changed_weights_under_the_same_name_are_judged(tmp_path):
    a = make_run(tmp_path / "a", {"m": values(0)})
    b = make_run(
        tmp_path / "b", {"m": values(0) + 5}, generator={"name": "made", "checkpoint": "", "fingerprint": "w2", "spec": ""}
    )
    result = gate(b, a, {"m": UP})
    assert result.verdict is Verdict.REGRESSED
    assert result.run["generator"]["fingerprint"] != result.baseline["generator"]["fingerprint"]


def test_failed_clips_count(pair):
    def fail(row):
        return {**row, "value": None, "status": "error", "reason": "no clip"} if row["id"].startswith("p03/") else row

    edit(pair[1], ScoreRow, fail)
    result = judged(pair)
    assert (result.verdict, result.exit_code) == (Verdict.ERROR, 12)
    assert "2 cases failed in new (p03/32x32x9/0); without them: the 95 % bound" in result.rows[0].reason
    edit(pair[1], ScoreRow, lambda r: None if r["id"].startswith("p03/") else r)  # nor do they vanish with their rows
    assert judged(pair).verdict is Verdict.ERROR


def test_scores_that_vanish_on_one_side_are_not_green(pair):
    def vanish(row, until):
        gone = int(row["id"][1:3]) < until
        return {**row, "value": None, "status": "undefined", "reason": "nothing falls"} if gone else row

    edit(pair[1], ScoreRow, lambda r: vanish(r, 1))  # 2 of 24: chance
    assert judged(pair).verdict is Verdict.PASS
    edit(pair[1], ScoreRow, lambda r: vanish(r, 7))
    row = judged(pair).rows[0]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "more scores were lost than chance explains" in row.reason


def failing(row, until):
    """The row, without a score for want of a clip if its prompt is among the first `until`."""
    failed = int(row["id"][1:3]) < until
    return {**row, "value": None, "status": "error", "reason": "no clip"} if failed else row


def test_a_baseline_whose_cases_failed_is_no_measure_of_those_that_are_left(tmp_path):
    """18 of 24 cases failed in it; the mean of the new run is 61 % above what it knows, and the 6 pairs are equal."""
    scores = [16.1] * 18 + [10.0] * 6
    base, new = (
        make_run(tmp_path / name, {"m": [s + n * i for i, s in enumerate(scores)]}) for name, n in (("base", 0), ("new", 1e-9))
    )
    edit(base, ScoreRow, lambda r: failing(r, 9))
    both = Gate(max_increase=10.0, max_decrease=10.0)
    row = judged((base, new), both, strict=True).rows[0]
    assert (row.verdict, row.n, row.base, row.new) == (Verdict.INCONCLUSIVE, 6, 10.0, pytest.approx(10.0))
    assert row.reason.startswith("18 cases failed in base (p00/32x32x9/0): more cases failed in the baseline than chance")
    assert judged((base, new), both, strict=True).exit_code == 11
    assert judged((base, new), Gate(window=[9.0, 11.0]), strict=True).verdict is Verdict.INCONCLUSIVE
    vectors, real = np.random.default_rng(0).standard_normal((2, 24, 5))
    sets = [make_run(tmp_path / f"set-{n}", features={"fvd": vectors}, reference=real) for n in ("base", "new")]
    stored = sets[0].load_features("fvd")
    sets[0].save_features("fvd", stored["ids"].tolist()[18:], stored["values"][18:])
    assert judged(sets, Gate(max_increase=1000.0), "fvd").verdict is Verdict.INCONCLUSIVE


def test_a_few_cases_that_failed_in_the_baseline_are_named(pair):
    edit(pair[0], ScoreRow, lambda r: failing(r, 1))  # 2 of 24: chance
    row = judged(pair).rows[0]
    assert (row.verdict, row.n) == (Verdict.PASS, 22)
    assert row.reason.endswith("2 cases failed in base (p00/32x32x9/0)")


def test_sets_with_failed_clips_are_not_green(tmp_path, rng):
    vectors, real = rng.standard_normal((24, 5)), rng.standard_normal((24, 5))
    runs = [make_run(tmp_path / n, features={"fvd": vectors}, reference=real) for n in "ab"]
    kept = runs[1].load_features("fvd")
    runs[1].save_features("fvd", kept["ids"].tolist()[3:], kept["values"][3:])
    row = gate(reopened(runs[1]), reopened(runs[0]), {"fvd": UP}).rows[0]
    assert row.verdict is Verdict.ERROR
    assert "3 cases failed in new" in row.reason


def test_a_suite_without_gates_is_an_error(pair):
    with pytest.raises(SuiteError, match="has no \\[gates"):
        gate(pair[1], pair[0], {})


def test_an_empty_slice_is_missing(pair):
    result = judged(pair, Gate(max_increase=10.0, slice="24x40x9"))
    assert result.verdict is Verdict.MISSING
    assert f"slices: all, {SHAPES[0]}, {SHAPES[1]}, even, odd" in result.rows[0].reason
    assert judged(pair, Gate(max_increase=10.0, slice="even")).verdict is Verdict.PASS


# What cannot be compared names the field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"suite": {"id": "made", "version": 1, "fingerprint": "beef"}}, "suite.fingerprint"),
        ({"suite": {"id": "made", "version": 2, "fingerprint": "beef"}}, "suite.version: 1 against 2"),
    ],
)
def test_unlike_runs_are_not_comparable(pair, changes, field):
    pair[1].update_head(**changes)
    result = judged(pair, strict=True)
    assert (result.verdict, result.exit_code) == (Verdict.NOT_COMPARABLE, 11)
    assert result.rows[0].reason.startswith(field)
    assert judged(pair, strict=False).exit_code == 0
    assert judged(pair).headline == "gate: NOT_COMPARABLE (1 gate)"


def test_unlike_signatures_are_not_comparable(pair):
    edit(pair[1], MetricRow, lambda r: {**r, "signature": "m|other weights"})
    assert judged(pair).rows[0].reason == "signature: m|made against m|other weights"


def test_other_seeds_are_compared_by_their_means_and_say_so(pair):
    pair[1].update_head(seed_offset=7)
    row = judged(pair).rows[0]
    assert row.verdict is Verdict.PASS
    assert row.seeds == "other seeds: means of 1 and 1 a case"


def test_verdicts_survive_their_file(pair):
    result = judged(pair, Gate(max_increase=10.0, window=[0.0, 5.0]))
    pair[1].save_json("verdicts.json", result.to_json())
    assert GateResult.read(pair[1].path) == result
    assert GateResult.read(pair[0].path) is None
