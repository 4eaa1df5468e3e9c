"""The order of checkpoints: told where it can be, and why where it cannot."""

import numpy as np
import pytest

from sora_eval.compare.checkpoints import Order, checkpoint_order
from sora_eval.compare.run_data import data_of
from sora_eval.util.errors import RunError
from sora_eval_reports.text import checkpoints as report
from tests.commands import sora_eval
from tests.runs import make_run

CASES = 24
LEVELS = {  # of metric, by rung
    "clip_score": (0.0, 1.0, 2.0),
    "temporal_flickering": (0.0, 1.0, 1.0),
    "caption_facts": (0.0, -1.0, 1.0),
}


def make(root, name, rung, **more):
    rng = np.random.default_rng(5)
    noise = {m: 0.2 * rng.standard_normal((3, CASES)) for m in LEVELS}
    scores = {m: levels[rung] + noise[m][rung] for m, levels in LEVELS.items()}
    generator = {"spec": name, "name": "made", "checkpoint": name, "fingerprint": name}
    return make_run(root / name, scores, generator=generator, **more)


@pytest.fixture
def runs(tmp_path):
    return [make(tmp_path, name, i) for i, name in enumerate(("early", "middle", "base"))]


def test_each_metric_says_whether_the_order_holds_and_turning_it_round_reverses(runs):
    sides = [data_of(r) for r in runs]
    found = {r.metric: r for r in checkpoint_order(sides)}
    assert {m: r.order for m, r in found.items()} == {
        "clip_score": Order.HOLDS,
        "temporal_flickering": Order.NOISE,
        "caption_facts": Order.REVERSED,
    }
    assert [s.order for s in found["temporal_flickering"].steps] == [Order.HOLDS, Order.NOISE]
    assert found["temporal_flickering"].whole.order is Order.HOLDS
    assert 0 < found["temporal_flickering"].steps[1].least < 1
    assert [(s.base, s.new) for s in found["clip_score"].steps] == [("early", "middle"), ("middle", "base")]
    back = {r.metric: r.order for r in checkpoint_order(sides[::-1])}
    assert back["clip_score"] is Order.REVERSED


def test_reasons_name_the_step(runs):
    lines = {line.split(":")[0]: line for line in report.reasons(checkpoint_order([data_of(r) for r in runs]))}
    assert set(lines) == {"temporal_flickering", "caption_facts"}
    assert "middle to base is within noise: " in lines["temporal_flickering"]
    assert "prompts show changes from" in lines["temporal_flickering"]
    assert "early to middle is reversed: " in lines["caption_facts"]
    assert "the whole way, early to base, is better beyond noise" in lines["caption_facts"]


def test_other_seeds_are_compared_by_their_means(tmp_path, runs):
    other = make(tmp_path, "other", 2, seed_offset=7)
    found = checkpoint_order([data_of(r) for r in (*runs[:2], other)])
    assert {r.order for r in found if r.metric == "clip_score"} == {Order.HOLDS}


def test_the_verb_prints_by_family(runs):
    done = sora_eval("compare", *(r.path for r in runs), "--ladder")
    assert done.returncode == 0, done.stderr
    assert "Text: early < middle < base holds for 1 of 2 metrics (reversed: 1)" in done.stdout
    refused = sora_eval("compare", runs[0].path, runs[1].path, "--ladder", "--slices")
    assert refused.returncode == 2
    assert "do not go with --ladder" in refused.stderr
    with pytest.raises(RunError, match="found 1 run, expected two or more"):
        checkpoint_order([data_of(runs[0])])
