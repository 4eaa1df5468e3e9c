"""Ratios within one run, for pytest-benchmark: `pytest tests/benchmarks --benchmark-enable`. Nothing is asserted.

The second of each group is the denominator; the table shows the ratio in brackets. What is no ratio of two rows is in the
extra info, which `--benchmark-json FILE` writes.
"""

import contextlib
import json
import time

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.utils.flop_counter import FlopCounterMode

from docs.pages.reference_figures import mixed_requests
from reference_model.packing.patchify import PACKINGS
from reference_model.sampling.pipeline import Pipeline
from reference_model.world.prompts import sample_prompts
from sora_eval.features import i3d
from sora_eval.features.view import ClipView
from sora_eval.gate.judge import gate
from sora_eval.generators.opening import open_generator
from sora_eval.metrics.base import ClipMetric
from sora_eval.pipeline.generate import generate
from sora_eval.pipeline.score_clip import Scorer
from sora_eval.registry.metrics import METRICS
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.stats.attribution import attribution
from sora_eval.stats.distances import frechet_distance, set_statistic
from sora_eval.stats.intervals import set_difference
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.suite import Gate, load_suite
from sora_eval.util.errors import Undefined
from sora_eval.util.weights import load_i3d
from sora_eval.video.codec import read_clip
from tests.runs import head_of, make_run

STATISTIC = SetStatistic(kind="frechet")


@pytest.mark.i3d
@pytest.mark.benchmark(group="I3D, one clip of 16 frames")
@pytest.mark.parametrize("runtime", ["onnx", "torch eager", "torch bf16"])
def test_i3d(benchmark, runtime):
    """`share_of_peak` in the extra info: I3D's FLOPs a second over those of a large fp32 matrix product, timed beside it."""
    video = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 224, 224)).astype(np.float32)
    module, tensor = i3d.build_i3d(load_i3d()), torch.from_numpy(video)
    run = {
        "onnx": lambda: i3d.logits(video),
        "torch eager": lambda: module(tensor),
        "torch bf16": lambda: i3d.logits_bf16(video),
    }
    before = matrix_peak()
    with torch.inference_mode():
        benchmark.pedantic(run[runtime], rounds=5, warmup_rounds=1)
        with FlopCounterMode(display=False) as counter:
            module(tensor)
    if benchmark.stats is not None:
        peak = max(before, matrix_peak())
        benchmark.extra_info["share_of_peak"] = round(counter.get_total_flops() / benchmark.stats.stats.median / peak, 3)
        benchmark.extra_info["peak_gflops"] = round(peak / 1e9, 1)


def matrix_peak(side=2048, repeats=5):
    """FLOPs a second of an fp32 matrix product, the best of a few."""
    a, b = torch.rand(2, side, side)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


@pytest.mark.benchmark(group="Fréchet distance, N = 256")
@pytest.mark.parametrize("width", [400, 2048])
@pytest.mark.parametrize("form", ["nuclear norm", "scipy sqrtm"])
def test_frechet(benchmark, form, width):
    a, b = np.random.default_rng(0).standard_normal((2, 256, width))

    def sqrtm():
        return scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False))

    ours = form == "nuclear norm"
    if benchmark.disabled and not ours:
        pytest.skip("SciPy's own, to compare with, and benchmarks are off: --benchmark-enable")
    benchmark.pedantic((lambda: frechet_distance(a, b)) if ours else sqrtm, rounds=5 if ours or width < 1000 else 1)


@pytest.mark.benchmark(group="Leave-one-out FVD, N = 256, D = 400")
@pytest.mark.parametrize("form", ["one decomposition", "one by one"])
def test_attribution(benchmark, form):
    a, b = np.random.default_rng(0).standard_normal((2, 256, 400))
    statistic, (x, y) = set_statistic(STATISTIC, a, b)
    slow = lambda: [statistic(np.delete(x, i), y) for i in range(len(x))]  # noqa: E731
    fast = form == "one decomposition"
    benchmark.pedantic((lambda: attribution(STATISTIC, a, b)) if fast else slow, rounds=5 if fast else 1)


@pytest.mark.benchmark(group="1000 paired permutations of FVD, 64 + 64 against 64 clips")
def test_permutations(benchmark):
    a, b, real = np.random.default_rng(0).standard_normal((3, 64, 400))
    statistic, (first, second, reference) = set_statistic(STATISTIC, a, b, real)
    prompts = [str(i // 2) for i in range(64)]
    benchmark.pedantic(
        lambda: set_difference(first[None], second[None], reference, prompts, statistic, permutations=1000), rounds=3
    )


class Recorder(ClipView):
    """A view that remembers which extractors its metrics asked for."""

    def __init__(self, clip, case, wanted):
        super().__init__(clip, case)
        self.wanted = wanted

    def features(self, extractor):
        self.wanted.setdefault(extractor.signature, extractor)
        return super().features(extractor)


@pytest.mark.i3d
@pytest.mark.benchmark(group="Scoring 100 clips with all metrics")
def test_overhead(benchmark, tmp_path, monkeypatch):
    """`ratio` in the extra info: scoring a run's clips from disk over the sum of its parts, each run alone in memory.

    `cpu_ratio` is the same in processor time, which other work on the machine moves less.
    """
    if benchmark.disabled:
        pytest.skip("compares two timings, and benchmarks are off: --benchmark-enable")
    prompts = sample_prompts(100, 5)
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
    head = '[suite]\nid = "all"\n[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["48x48"]\nframes = [17]\n'
    (tmp_path / "all.toml").write_text(
        head + '[reference]\ngenerator = "world"\n' + "".join(f"[metrics.{n}]\n" for n in METRICS.built_in)
    )
    suite = load_suite(tmp_path / "all.toml")
    i3d.session()  # the network is loaded before the cache is an empty one
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "cache"))
    folder = RunFolder.create(tmp_path / "runs", head_of(status="started"), suite.to_json())
    generate(folder, suite, open_generator("world"), suite.cases)
    samples = {r.id: r for r in folder.rows(SampleRow)}
    scorer = Scorer(folder, suite, suite.prompt_list, None)
    clips = [read_clip(folder.path / samples[c.id].clip) for c in suite.cases]
    wanted = {}
    for metric in (*scorer.metrics.per_clip.values(), *scorer.sets.values()):
        with contextlib.suppress(Undefined):
            (metric.score if isinstance(metric, ClipMetric) else metric.features)(Recorder(clips[0], suite.cases[0], wanted))
    started, cpu = time.perf_counter(), time.process_time()
    for extractor in wanted.values():
        for clip in clips:
            extractor(clip)
    parts, cpu_parts = time.perf_counter() - started, time.process_time() - cpu
    cpu = time.process_time()

    def whole():
        for case in suite.cases:
            folder.append(scorer.case(case, samples[case.id], True).rows)

    benchmark.pedantic(whole, rounds=1)
    benchmark.extra_info["ratio"] = round(benchmark.stats.stats.median / parts, 3)
    benchmark.extra_info["cpu_ratio"] = round((time.process_time() - cpu) / cpu_parts, 3)


@pytest.mark.benchmark(group="20 clips and images of mixed shapes, 4 steps")
@pytest.mark.parametrize("packing", PACKINGS)
def test_packing(benchmark, packing):
    pipeline, requests = Pipeline.load("base"), mixed_requests(20, steps=4)
    benchmark.pedantic(pipeline.generate, (requests, packing), rounds=3, warmup_rounds=1)


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
