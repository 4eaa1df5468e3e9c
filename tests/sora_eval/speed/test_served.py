"""The numbers of an open loop: what each of them counts, and when it has no value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.compare.comparison import compare
from sora_eval.gate import baseline
from sora_eval.gate.judge import gate
from sora_eval.records.speed_metrics import SERVED_METRICS
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import MetricRow, Served, TimingRow
from sora_eval.speed.served import SERVE, point_of, served_repeats, served_rows, value_of
from sora_eval.speed.summary import repeats_of, summarise
from sora_eval.suite import Gate
from sora_eval.suite.tables import Sessions
from sora_eval.util.errors import Undefined
from tests.runs import make_run, reopened, values

RATE = 2.0


def request(arrival, seconds, repeat=0, objective=1.0, good=True, **more):
    """A request of a repeat; `seconds` may be the reason why it failed."""
    failed = isinstance(seconds, str)
    on_time = None if objective is None else not failed and seconds <= objective
    served = Served(rate=RATE, arrival=arrival, on_time=on_time, good=on_time and good, **more)
    return TimingRow(
        id=point_of(RATE), scenario=SERVE, frames=9, stage="whole" if arrival >= 0 else "warmup", repeat=repeat,
        seconds=None if failed else seconds, reason=seconds if failed else "", served=served,
    )  # fmt: skip


def repeat_of(latencies, repeat=0, **more):
    """Requests that arrive evenly at RATE."""
    return [request(i / RATE, s, repeat, **more) for i, s in enumerate(latencies)]


@given(st.permutations(range(1, 101)))
def test_percentiles_are_those_of_the_nearest_rank(order):
    rows = repeat_of([s / 100 for s in order])
    assert [value_of(rows, f"latency.p{p}") for p in (50, 90, 99)] == [0.5, 0.9, 0.99]


def test_a_failed_request_is_later_than_any_other():
    rows = repeat_of([0.01] * 98 + ["refused"] * 2)
    assert (value_of(rows, "latency.p90"), value_of(rows, "failures"), value_of(rows, "on_time")) == (0.01, 2.0, 98.0)
    with pytest.raises(Undefined, match="2 of 100 requests failed, and the 99 % percentile is one of them"):
        value_of(rows, "latency.p99")


@pytest.mark.parametrize(("percent", "needed"), [(50, 2), (90, 10), (99, 100)])
def test_a_percentile_that_is_the_largest_of_too_few_has_no_value(percent, needed):
    name = f"latency.p{percent}"
    assert value_of(repeat_of([0.5] * needed), name) == 0.5
    with pytest.raises(Undefined, match=f"{needed} or more per repeat"):
        value_of(repeat_of([0.5] * (needed - 1)), name)


def test_goodput_counts_only_what_is_on_time_and_holds_the_quality():
    """Ten arrivals in five seconds: four good, three late, two bad, one failed."""
    rows = [request(i / RATE, 0.1) for i in range(4)] + [request(2.0 + i / RATE, 1.2) for i in range(3)]
    rows += [request(3.5, 0.1, good=False), request(4.0, 0.1, good=False), request(4.5, "500")]
    assert value_of(rows, "goodput") == 4 / 5
    assert value_of(rows, "on_time") == 60.0
    assert value_of(rows, "clips_per_second") == 9 / 5
    assert value_of(rows, "frames_per_second") == 81 / 5


@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.one_of(st.floats(0.001, 9), st.just("500")), st.booleans()), min_size=1, max_size=30
    )
)
def test_goodput_is_never_above_throughput(requests):
    rows = [request(arrival, seconds, good=good) for arrival, seconds, good in requests] + [request(0.0, 0.1)]
    assert 0 <= value_of(rows, "goodput") <= value_of(rows, "clips_per_second")


def test_throughput_is_of_the_window_and_warm_up_is_in_no_share():
    rows = [request(-1.0, 1.5), request(-1.0, 0.5, objective=0.1), *repeat_of([0.5] * 9 + [0.6])]
    assert value_of(rows, "clips_per_second") == 10 / 5  # one of the warm-up ends inside, the last counted one outside
    assert value_of(rows, "on_time") == 100.0


def test_the_queue_is_the_mean_wait_and_unknown_where_one_answer_does_not_say():
    rows = [request(0.0, 0.5, queue=0.1), request(0.5, 0.5, queue=0.3), request(1.0, "500")]
    assert value_of(rows, "latency.queue") == pytest.approx(0.2)
    with pytest.raises(Undefined, match="does not say when an answer begins"):
        value_of([*rows, request(1.5, 0.5)], "latency.queue")


def test_one_repeat_without_a_value_leaves_none_to_compare():
    rows = [*repeat_of([0.1] * 10), *repeat_of([0.2] * 8 + ["500"] * 2, 1)]
    assert served_repeats(rows, "latency.p50") == [0.1, 0.2]
    assert served_repeats(rows, "latency.p90") == repeats_of(rows, "latency") == []


def test_rows_are_medians_of_repeats_with_unit_direction_and_promise():
    rows = [row for r in range(6) for row in repeat_of([0.1 * (r + 1)] * 100, r, objective=0.35)]
    found = {row.metric: row for row in summarise(rows, "speed|cpu", promise="objective:0.35")}
    assert set(found) == SERVED_METRICS.keys() - {"latency.queue"}
    for metric, row in found.items():
        assert (row.unit, row.higher_is_better, row.family, row.slice) == (*SERVED_METRICS[metric], "speed", "serve:2/s")
    p99 = found["latency.p99"]
    assert (p99.value, p99.low, p99.high, p99.n_scored) == (pytest.approx(0.35), 0.1, pytest.approx(0.6), 6)
    assert p99.signature == "speed|cpu|scenario:serve|rate:2|requests:100"
    assert found["goodput"].signature == p99.signature + "|objective:0.35"


def test_without_an_objective_nothing_is_promised_and_few_requests_say_why_there_is_no_p99():
    rows = {row.metric: row for row in served_rows(repeat_of([0.1] * 10, objective=None), "s")}
    assert not {"on_time", "goodput"} & rows.keys()
    assert (rows["latency.p99"].status, rows["latency.p99"].value) == ("undefined", None)
    assert rows["latency.p90"].method.endswith("none: fewer than 6 repeats")


# In compare and gate


def served_run(path, latencies, **more):
    """A run of six repeats, whose requests take these seconds times 1.00 to 1.05."""
    run = make_run(path, {"m": values(0)}, bench={"session": "s1"})
    rows = [row for r in range(6) for row in repeat_of([s * (1 + r / 100) for s in latencies], r, **more)]
    run.append(rows)
    run.append(summarise(rows, "speed"))
    return run


UP, DOWN = Gate(max_increase=10.0), Gate(max_decrease=10.0)


def test_p99_and_goodput_are_gated_a_row_a_rate(tmp_path):
    base = served_run(tmp_path / "a", [0.2] * 97 + [0.5] * 3)
    slow = served_run(tmp_path / "b", [0.2] * 97 + [0.8] * 3)
    late = served_run(tmp_path / "c", [0.2] * 60 + [3.0] * 40)
    gates = {"latency.p99": UP, "latency.p50": UP, "goodput": DOWN}
    verdicts = {(r.metric, r.slice): str(r.verdict) for r in gate(slow, base, gates).rows}
    assert verdicts == {
        ("latency.p99", "serve:2/s"): "REGRESSED", ("latency.p50", "serve:2/s"): "PASS", ("goodput", "serve:2/s"): "PASS"
    }  # fmt: skip
    assert gate(late, base, {"goodput": DOWN}).rows[0].verdict is Verdict.REGRESSED
    assert gate(base, late, {"goodput": DOWN}).rows[0].verdict is Verdict.IMPROVED
    (row,) = [d for d in compare(base, slow).rows if d.metric == "latency.p99"]
    assert (row.change_percent, row.n, row.counted) == (pytest.approx(60.0), 6, "repeats")


def test_a_first_failure_is_a_change_though_it_has_no_ratio(tmp_path):
    base, worse = served_run(tmp_path / "a", [0.2] * 100), served_run(tmp_path / "b", [0.2] * 100)
    rows = [
        row.model_copy(update={"seconds": None, "reason": "500"}) if i % 100 < 5 else row
        for i, row in enumerate(worse.rows(TimingRow))
    ]
    worse.replace(TimingRow, rows)
    worse.replace(MetricRow, [r for r in worse.rows(MetricRow) if r.family != "speed"] + summarise(rows, "speed"))
    worse, base = reopened(worse), reopened(base)
    spec = {"failures": Gate(max_increase=1.0, min_change=1.0)}
    row = gate(worse, base, spec).rows[0]
    assert (row.base, row.new, row.change, row.verdict) == (0.0, 5.0, 5.0, Verdict.REGRESSED)
    assert gate(base, base, spec).verdict is Verdict.PASS


def test_what_has_no_value_is_an_error_with_its_reason_and_never_green(tmp_path):
    few = served_run(tmp_path / "a", [0.2] * 20)
    row = gate(few, few, {"latency.p99": UP}).rows[0]
    assert row.verdict is Verdict.ERROR
    assert "100 or more per repeat" in row.reason


def test_a_baseline_keeps_the_requests_and_two_sessions_of_a_share_of_0_decide_nothing(tmp_path):
    run = served_run(tmp_path / "a", [0.2] * 100)
    kept = baseline.read(baseline.promote([run], tmp_path / "b.json", profile="desk"))
    assert list(kept.timings) == run.rows(TimingRow)
    assert gate(run, kept, {"latency.p99": UP, "goodput": DOWN}).verdict is Verdict.PASS
    later = served_run(tmp_path / "c", [0.2] * 100)
    later.update_head(bench={"session": "s2"})
    spec = {"failures": Gate(max_increase=0.0, min_change=1.0, profile="desk", sessions=Sessions(runs=5, percent=2.0))}
    row = gate(reopened(later), kept, spec, profile="desk").rows[0]
    assert (row.verdict, row.reason) == (Verdict.INCONCLUSIVE, "two sessions, one with a value of 0: they have no ratio")
