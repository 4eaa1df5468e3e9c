"""The speed sweep for pytest-benchmark: `pytest tests/benchmarks/test_throughput.py --benchmark-enable`. Nothing is asserted.

Each round is one call of the harness, device synchronised inside; shape, tokens and stages are in `extra_info`, so that two
saved files can be set side by side with `--benchmark-compare`. pytest-benchmark measures nothing under xdist.
"""

import statistics

import pytest

from sora_eval.speed.timed_generator import LocalGenerator
from sora_eval.speed.timing import plan
from sora_eval.suite import load_suite


@pytest.fixture(scope="module")
def suite():
    return load_suite("throughput")


@pytest.fixture(scope="module")
def generator():
    return LocalGenerator.open("reference")


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        from sora_eval.records.capabilities import Capabilities
        from sora_eval.speed.sweep import groups_of

        packings = ("packed", "single", "bucketed", "padded")
        groups, _ = groups_of(load_suite("throughput"), Capabilities(8, 4), packings)
        metafunc.parametrize("name", [p.id for g in groups for p in g if p.scenario != "offline"])


@pytest.mark.benchmark(group="sweep")
def test_point(benchmark, suite, generator, name):
    point = next(p for g in plan(suite, [generator])[0] for p in g if p.id == name)
    calls = []

    def call():
        calls.append(generator.call(point.requests, point.packing))

    benchmark.pedantic(call, rounds=3, warmup_rounds=1)
    kept = calls[-3:]
    assert not any(c.reason for c in kept)
    benchmark.extra_info |= {
        "shapes": [f"{r.width}x{r.height}x{r.num_frames}" for r in point.requests],
        "scenario": point.scenario,
        "batch": len(point.requests),
        "tokens": generator.tokens(point.requests),
        "stages": {s: statistics.median(c.stages[s] for c in kept) for s in kept[0].stages},
    }
