"""How long a report of 1000 cases x 10 metrics takes; at most 20 s are meant. `pytest tests/benchmarks --benchmark-enable`."""

import pytest

from sora_eval_reports.page import page as html
from sora_eval_reports.source import open_source
from tests.runs import drawn_run


@pytest.mark.benchmark(group="HTML report of two runs, 1000 cases x 10 metrics")
def test_large_report(benchmark, tmp_path):
    metrics = {f"metric_{i}": ("1", True) for i in range(10)}
    paths = [
        drawn_run(tmp_path, f"r{i}", checkpoint=f"c{i}", prompts=500, metrics=metrics, clips=False, seed=i).path
        for i in range(2)
    ]
    page = benchmark.pedantic(lambda: html.render(open_source(paths)), rounds=1)
    benchmark.extra_info["bytes"] = len(page.encode())
