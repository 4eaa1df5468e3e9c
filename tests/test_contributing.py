"""The recipes of CONTRIBUTING.md work as they stand."""

import re

from sora_eval.pipeline import run as evaluate
from sora_eval.registry.metrics import REGISTRY
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite
from tests.conftest import ROOT


def test_the_blocks_of_contributing_make_a_metric_a_generator_and_a_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(REGISTRY, "brightness", None)  # restored afterwards, whatever the block puts there
    blocks = re.findall(r"```(\w+)(?: file=(\S+))?\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(blocks) == 5
    for language, file, text in blocks:
        if file:
            (tmp_path / file).write_text(text)
        elif language == "python":
            exec(text, {})
    run = evaluate.run(load_suite("my_suite.toml"), "python:my_model:generate", tmp_path / "runs")
    rows = {r.metric: r for r in run.rows(MetricRow) if r.slice == "all"}
    assert rows["brightness"].n_scored == 4
    assert abs(rows["brightness"].value - 127.5) < 2
    assert run.head.generator.fingerprint == "noise-1"
