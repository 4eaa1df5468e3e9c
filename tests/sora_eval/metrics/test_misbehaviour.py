"""Metrics of users may do anything: each fault is a reason, and none reaches the rest of the run."""

import sys

import numpy as np
import pytest

from sora_eval.metrics.asking import scores_of
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.create import create, make_metrics
from sora_eval.records.case import Prompt
from sora_eval.util.errors import MetricError
from tests.conftest import view_of
from tests.sora_eval.generators.test_misbehaviour import REQUEST, frames, raising


class Unruly(ClipMetric):
    """Does what its option says."""

    outputs = (Output("unruly", "1", None, "any"),)
    signature = "unruly"

    def __init__(self, act=""):
        super().__init__()
        self.act = act
        if act == "make":
            sys.exit(0)

    def prepare(self, prompts):
        if self.act == "prepare":
            sys.exit(0)

    def score(self, view):
        acts = {
            "exit": lambda: sys.exit(0),
            "write": lambda: view.clip.frames.fill(0),
            "words": lambda: {"unruly": 3},
            "missing": dict,
            "detail": lambda: {"unruly": Score(1.0, detail={"x": object()})},
            "numpy": lambda: {"unruly": Score(np.float32(1), detail={"x": np.arange(2), "n": np.int64(3)})},
        }
        return acts[self.act]()


NAME = f"{__name__}:Unruly"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("exit", "broke: SystemExit: 0"),
        ("write", "read-only"),
        ("words", "gave a int for 'unruly', expected a Score"),
        ("missing", "broke: KeyError: 'unruly'"),
        ("detail", "its detail holds a object"),
    ],
)
def test_a_users_metric_that_fails_is_the_reason_of_a_row(act, words):
    with pytest.raises(MetricError, match=words):
        scores_of(NAME, create(NAME, {"act": act}), view_of(frames(REQUEST)))


def test_details_of_numpy_are_plain():
    score = scores_of(NAME, create(NAME, {"act": "numpy"}), view_of(frames(REQUEST)))["unruly"]
    assert (score.value, score.detail) == (1.0, {"x": [0, 1], "n": 3})


@pytest.mark.parametrize("act", ["make", "prepare"])
def test_a_users_metric_that_cannot_be_made_is_missing(act):
    made = make_metrics({NAME: {"act": act}}, [Prompt("p", "a ball")])
    assert "SystemExit: 0" in made.missing[NAME]
    assert not made.per_clip


def test_memory_that_runs_out_in_a_metric_of_the_project_is_a_reason(monkeypatch):
    metric = create("temporal_flickering")
    monkeypatch.setattr(metric, "score", raising(MemoryError("4 TB")))
    with pytest.raises(MetricError, match=r"temporal_flickering: out of memory .MemoryError: 4 TB"):
        scores_of("temporal_flickering", metric, view_of(frames(REQUEST)))
