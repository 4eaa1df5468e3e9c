"""A run is judged by its own gates, and its folder keeps the verdicts."""

import numpy as np
import pytest

from sora_eval.gate.baseline import promote
from sora_eval.gate.gate_run import gate_run
from sora_eval.gate.judge import gate
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.suite import Gate
from sora_eval.util.errors import BaselineError, SuiteError
from tests.runs import make_run

GATES = {"warping_error": Gate(max_increase=5.0)}


@pytest.fixture
def pair(tmp_path):
    """A run, and a worse one."""
    levels = {"base": 10 + np.arange(24.0) / 100, "worse": 20 + np.arange(24.0) / 100}
    return [make_run(tmp_path / n, {"warping_error": v}, gates=GATES, higher=False) for n, v in levels.items()]


def test_the_verdicts_are_those_of_the_gate_and_stay_in_the_folder(pair, tmp_path):
    base, worse = pair
    result = gate_run(worse, base.path, strict=True)
    assert result.verdict is Verdict.REGRESSED
    assert result.rows == gate(worse, base, GATES, strict=True).rows
    assert GateResult.read(worse.path) == result
    promote([base], tmp_path / "baselines" / "made.json")
    assert gate_run(worse, tmp_path / "baselines").rows[0].verdict is Verdict.REGRESSED
    assert gate_run(worse, tmp_path / "baselines", profile="desk").rows[0].verdict is Verdict.NO_BASELINE


def test_what_cannot_be_judged_says_why_and_leaves_no_verdicts(pair, tmp_path):
    with pytest.raises(SuiteError, match="is not the suite of the run"):
        gate_run(pair[1], pair[0].path, suite="quick")
    with pytest.raises(BaselineError, match="does not exist"):
        gate_run(pair[1], tmp_path / "gone.json")
    assert GateResult.read(pair[1].path) is None
