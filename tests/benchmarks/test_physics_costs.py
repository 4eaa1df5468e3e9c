"""Costs of two measures of physics, for pytest-benchmark: `pytest tests/benchmarks/test_physics_costs.py --benchmark-enable`.

Nothing is asserted; the names of the groups say what the times and shares are of.
"""

import time

import numpy as np
import pytest

from sora_eval.features.view import ClipView
from sora_eval.generators.asking import answers_of
from sora_eval.generators.opening import open_generator
from sora_eval.metrics.create import create
from sora_eval.studies.law_preference import law_preference
from sora_eval.suite import load_suite

PROMPTS = 82  # of the suite `world`: the fewest whose twins are at least 237 pairs


@pytest.mark.benchmark(group="law preference of the base model over 239 pairs, from the rendering on")
def test_law_preference(benchmark):
    suite = load_suite("world")
    law_preference(suite, ["reference:base"], limit=1)  # its graphs are opened
    preferences = benchmark.pedantic(law_preference, (suite, ["reference:base"], PROMPTS), rounds=1)
    benchmark.extra_info["pairs"] = sum(len(p.margins) for p in preferences)


@pytest.mark.benchmark(group="feature_geometry of 32 clips of the suite `gate` whose features are there")
def test_geometry(benchmark):
    """`share` is of the time of a run of the suite's other metrics on the same clips, generation left out."""
    suite = load_suite("gate")
    cases = suite.cases[:32]
    clips = answers_of(open_generator("world"), suite, cases)
    assert all(not isinstance(clip, str) for clip in clips)
    others = [create(name, options) for name, options in suite.metrics.items() if name != "feature_geometry"]
    others = [m for m in others if m.kind == "per-clip"]
    for metric in others:
        metric.prepare([case.prompt for case in cases])
    consistency, geometry = create("subject_consistency"), create("feature_geometry")
    views = [ClipView(clip, case) for clip, case in zip(clips, cases, strict=True)]
    for metric in others:
        metric.score(views[0])  # its networks are opened
    started = time.perf_counter()
    for view in views[1:]:
        consistency.score(view)
        for metric in others:
            metric.score(view)
    seconds = (time.perf_counter() - started) / (len(views) - 1)
    consistency.score(views[0])
    benchmark.pedantic(lambda: [geometry.score(view) for view in views], rounds=5, warmup_rounds=1)
    if benchmark.stats is not None:
        per_clip = float(np.median(benchmark.stats.stats.data)) / len(views)
        benchmark.extra_info |= {"share_percent": round(100 * per_clip / seconds, 2), "ms_per_clip": round(1000 * per_clip, 3)}
