"""Two runs and the verdicts of a gate, to be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sora_eval.records.verdict import GateResult, GateRow, Verdict
from tests.runs import drawn_run


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one suite, the second better by half a standard deviation."""
    root = tmp_path_factory.mktemp("runs")
    base = drawn_run(root, "base-run", steps=500)
    new = drawn_run(root, "new-run", checkpoint="late", steps=2000, shift=0.5, seed=1)
    return [base.path, new.path]


@pytest.fixture
def gate() -> GateResult:
    """A result whose prompts of trouble are a regression and a metric that is gone."""
    fallen = GateRow(
        metric="clip_score",
        slice="all",
        verdict=Verdict.REGRESSED,
        reason="clip_score fell by 12 %",
        limit="-5 %",
        min_change=0.1,
        base=10.0,
        new=8.8,
        change=-1.2,
        change_percent=-12.0,
        low=-1.5,
        high=-0.9,
        p=0.001,
        p_adjusted=0.002,
        n=12,
        unit="100 cos",
        higher_is_better=True,
        method="made",
        detectable=0.4,
    )
    lost = GateRow(metric="fvd", slice="all", verdict=Verdict.MISSING, reason="renamed?", limit="", min_change=0.0)
    baseline = {"label": "made:early", "kind": "baseline", "path": "x"}
    return GateResult((fallen, lost), True, None, {}, baseline)
