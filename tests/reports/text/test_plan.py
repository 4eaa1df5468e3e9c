"""The text of a plan says what its model leaves out."""

from dataclasses import replace

import numpy as np

from sora_eval.compare.run_data import RunData, shifted, started_from
from sora_eval.studies.gate_plan import plan_of
from sora_eval.studies.planning import Goal
from sora_eval.suite import Gate, load_suite
from sora_eval_reports.text.plan import conclusion, present_table, remedies_table
from tests.runs import make_data

PROMPTS = [f"p{i:02d}" for i in range(16)]


def repeat(k: int) -> RunData:
    """A run of one checkpoint, under seed k: normal noise, and noise that a few clips make."""
    rng = np.random.default_rng(k)
    scores = {"calm": 10 + rng.standard_normal(16), "wild": 10 + 0.1 * rng.standard_normal(16) + 9.0 * (rng.random(16) < 0.02)}
    data = make_data(scores, PROMPTS, seed_offset=k)
    rows = {m: {started_from(i, k): r for i, r in of_metric.items()} for m, of_metric in data.scores.items()}
    return replace(data, scores=rows, samples={r.id: r for r in shifted(data.samples.values(), k)})


def test_a_row_whose_noise_a_few_clips_make_is_named():
    gates = {"calm": Gate(max_increase=9.0), "wild": Gate(max_increase=9.0), "bounded": Gate(window=[0.0, 1.0])}
    suite = load_suite("gate").model_copy(update={"gates": gates})
    plan = plan_of(suite, [repeat(k) for k in range(10)], None, (4, 2), Goal())
    lines = conclusion(plan)
    assert sum("passes less often than this says" in line for line in lines) == 1
    assert any(line.startswith("wild passes less often than this says: a few clips make its seed noise") for line in lines)
    assert "not planned: bounded: a window alone bounds a value, no change" in lines
    assert any("--against SPEC measures" in line for line in lines)
    assert present_table(plan)["row"].tolist() == ["calm", "wild", "gate, at its weakest row"]
    assert remedies_table(plan)["row"].tolist() == ["calm", "wild"]
