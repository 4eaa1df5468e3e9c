"""A trade PASSes where the gain is past what was asked for and quality holds, and nowhere else."""

import json

import pytest

from sora_eval.gate.gate_run import gate_run
from sora_eval.gate.tradeoff import tradeoff_row
from sora_eval.records.verdict import GateResult, GateRow, Verdict
from sora_eval.suite import Gate, load_suite
from sora_eval.suite.suite import Suite
from sora_eval.suite.tables import Tradeoff
from sora_eval.util.errors import SuiteError
from tests.runs import make_run, values

SPEC = Tradeoff(faster=10.0)


def speed(low, high, slice_="32x32x9", metric="latency", higher=False, verdict=Verdict.PASS):
    """A row whose change lies between the one-sided bounds `low` and `high`, in per cent of a baseline of 2."""
    ends = {"bound_low": 0.02 * low, "bound_high": 0.02 * high, "change": 0.01 * (low + high)}
    return GateRow(metric, slice_, verdict, "why", "", 0.0, base=2.0, higher_is_better=higher, unit="s", **ends)


def quality(verdict=Verdict.PASS, metric="clip_score"):
    return GateRow(metric, "all", verdict, "why", "", 0.0)


CASES = [
    ([speed(-20, -12)], [quality()], Verdict.PASS, "is at least 12 %, and every row of quality is inside its limits"),
    ([speed(-20, -10)], [quality(Verdict.IMPROVED)], Verdict.PASS, "at least 10 %"),
    ([speed(-20, -8)], [quality()], Verdict.INCONCLUSIVE, "at least 8 % and at most 20 %: not surely the 10 %"),
    ([speed(-7, -3)], [quality()], Verdict.INCONCLUSIVE, "at most 7 %: less than the 10 %"),
    ([speed(5, 20)], [quality()], Verdict.INCONCLUSIVE, "less than the 10 %"),
    ([speed(-20, -12), speed(-30, -5, "40x24x9")], [quality()], Verdict.INCONCLUSIVE, "(40x24x9) is at least 5 %"),
    ([speed(-20, -12)], [quality(), quality(Verdict.REGRESSED, "fvd")], Verdict.INCONCLUSIVE, "limits: fvd REGRESSED"),
    ([speed(-20, -12)], [quality(Verdict.INCONCLUSIVE)], Verdict.INCONCLUSIVE, "clip_score INCONCLUSIVE"),
    ([speed(-20, -12)], [], Verdict.MISSING, "no row of quality"),
    ([], [quality()], Verdict.MISSING, "no row of latency"),
]


@pytest.mark.parametrize(("rows", "beside", "verdict", "reason"), CASES)
def test_both_halves_of_a_trade_must_hold(rows, beside, verdict, reason):
    row = tradeoff_row([*rows, *beside], SPEC)
    assert (row.name, row.verdict) == ("tradeoff", verdict)
    assert reason in row.reason


def test_more_clips_per_second_are_a_gain_and_another_slice_is_not_asked():
    spec = Tradeoff(faster=10.0, metric="clips_per_second", slice="32x32x9")
    rows = [speed(12, 30, metric="clips_per_second", higher=True), speed(-50, -40, "40x24x9", "clips_per_second", True)]
    assert tradeoff_row([*rows, quality()], spec).verdict is Verdict.PASS


def test_a_speed_row_without_a_number_gives_its_verdict():
    without = GateRow("latency", "all", Verdict.NOT_COMPARABLE, "two jobs", "", 0.0)
    row = tradeoff_row([without, quality()], SPEC)
    assert (row.verdict, row.reason) == (Verdict.NOT_COMPARABLE, "latency has no bound of its gain: two jobs")


TEXT = """
[suite]
id = "trade"
[metrics.clip_score]
[throughput]
prompt = "a ball"
shapes = ["32x32x9"]
[gates.clip_score]
max_decrease = 5
[gates.latency]
max_increase = 10
sessions = { runs = 5, percent = 3.2 }
[gates.tradeoff]
faster = 10.0
"""


def test_the_table_is_read_is_no_gate_of_a_metric_and_changes_no_fingerprint(tmp_path):
    path = tmp_path / "trade.toml"
    path.write_text(TEXT)
    suite = load_suite(path)
    assert suite.tradeoff == SPEC
    assert list(suite.gates) == ["clip_score", "latency"]
    again = Suite.from_json(suite.to_json(), path)
    assert (again.tradeoff, again.gates, again.fingerprint) == (suite.tradeoff, suite.gates, suite.fingerprint)
    path.write_text(TEXT.partition("[gates.tradeoff]")[0])
    assert load_suite(path).fingerprint == suite.fingerprint


BAD = [
    ("faster = 10.0", "faster = -1.0", "[gates].tradeoff.faster = -1.0; expected greater than 0"),
    ("faster = 10.0", "fster = 10.0", "did you mean 'faster'"),
    ("faster = 10.0", "faster = 10.0\nmetric = 'tokens_per_second'", "has no gate; add [gates.tokens_per_second]"),
    ("[gates.clip_score]\nmax_decrease = 5", "", "needs a gate of quality beside it"),
    ("[gates.tradeoff]", "[tradeoff]", "call the table [gates.tradeoff]"),
    ("runs = 5", "runs = 2", "expected greater than or equal to 3"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_what_makes_no_trade_is_one_message(tmp_path, old, new, message):
    path = tmp_path / "trade.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(SuiteError) as error:
        load_suite(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_the_command_judges_the_trade_of_a_run_and_writes_it(tmp_path):
    """Speed of one interleaved session: a third faster at the same scores passes, the same speed does not."""
    gates = {"m": Gate(max_decrease=5.0), "latency": Gate(max_increase=10.0)}
    runs = {}
    for name, seconds in {"base": 1.5, "fast": 1.0, "same": 1.5}.items():
        repeats = {"32x32x9": [seconds + 0.001 * i for i in range(12)]}
        head = {"bench": {"session": "s", "matrix_peak_flops": None}}
        scores = values(0) + 0.001 * values({"base": 1, "fast": 2, "same": 3}[name])
        runs[name] = make_run(tmp_path / name, {"m": scores}, seconds=repeats, gates=gates, **head)
        stored = json.loads((runs[name].path / "suite.json").read_text())
        stored["declared"]["gates"]["tradeoff"] = {"faster": 20.0}
        (runs[name].path / "suite.json").write_text(json.dumps(stored))
    fast, same = (gate_run(runs[name], runs["base"].path, strict=True) for name in ("fast", "same"))
    assert {r.name: str(r.verdict) for r in fast.rows}["tradeoff"] == "PASS"
    assert fast.exit_code == 0
    assert same.rows[-1].verdict is Verdict.INCONCLUSIVE
    assert "less than the 20 % asked for" in same.rows[-1].reason
    assert same.exit_code == 11
    assert GateResult.read(runs["same"].path) == same
