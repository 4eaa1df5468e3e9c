"""Ratios within one run, for pytest-benchmark: `pytest tests/benchmarks --benchmark-enable`. Nothing is asserted.

The second of each group is the denominator; the table shows the ratio in brackets.
"""

import numpy as np
import pytest
import scipy.linalg
import torch

from reference_model.measure import mixed_requests
from reference_model.pipeline import PACKINGS, Pipeline
from sora_eval.distances import frechet_distance, set_statistic
from sora_eval.features import i3d
from sora_eval.gate import gate
from sora_eval.statistics import paired_set_difference
from sora_eval.suite import Gate
from sora_eval.weights import load_i3d
from tests.sora_eval.synthetic import make_run


@pytest.mark.i3d
@pytest.mark.benchmark(group="I3D, one clip of 16 frames")
@pytest.mark.parametrize("runtime", ["onnx", "torch eager"])
def test_i3d(benchmark, runtime):
    video = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 224, 224)).astype(np.float32)
    if runtime == "onnx":
        benchmark.pedantic(i3d.logits, (video,), rounds=5, warmup_rounds=1)
        return
    module, tensor = i3d.build_i3d(load_i3d()), torch.from_numpy(video)
    with torch.inference_mode():
        benchmark.pedantic(module, (tensor,), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="Fréchet distance, N = 256, D = 400")
@pytest.mark.parametrize("form", ["nuclear norm", "scipy sqrtm"])
def test_frechet(benchmark, form):
    a, b = np.random.default_rng(0).standard_normal((2, 256, 400))

    def sqrtm():
        return scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False))

    benchmark.pedantic((lambda: frechet_distance(a, b)) if form == "nuclear norm" else sqrtm, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="20 clips and images of mixed shapes, 4 steps")
@pytest.mark.parametrize("packing", PACKINGS)
def test_packing(benchmark, packing):
    pipeline, requests = Pipeline.load("base"), mixed_requests(20, steps=4)
    benchmark.pedantic(pipeline.generate, (requests, packing), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="FVD of 64 + 64 clips against 64: 1000 swaps of prompts, jackknife and interval")
@pytest.mark.parametrize("form", ["batched", "one by one"])
def test_paired_randomisation(benchmark, form):
    statistic, (a, b, r) = set_statistic("|frechet|ddof:1", *np.random.default_rng(0).standard_normal((3, 64, 400)))
    distance = statistic if form == "batched" else statistic.function
    prompts = [str(i // 2) for i in range(64)]
    benchmark.pedantic(paired_set_difference, (a, b, r, prompts, distance, 1000), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="gate of 64 cases: 2 set metrics and 20 per-clip metrics, from the files")
def test_gate(benchmark, tmp_path):
    rng = np.random.default_rng(0)
    real, names = rng.standard_normal((64, 400)), [f"m{i}" for i in range(20)]

    def make(name):
        vectors = rng.standard_normal((64, 400))
        scores = {m: rng.standard_normal(64) for m in names}
        return make_run(tmp_path / name, scores, {"fvd": vectors, "kvd": vectors}, prompts=32, reference=real)

    base, new = make("base"), make("new")
    gates = {m: Gate(max_increase=5.0) for m in [*names, "fvd", "kvd"]}
    benchmark.pedantic(gate, (new, base, gates), rounds=3, warmup_rounds=1)
