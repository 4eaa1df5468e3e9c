"""Material of the campaigns on engines: a suite with every built-in metric, the ways to run it, and kills of their workers."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from reference_model.world import Facts, make_clip
from reference_model.world.prompts import sample_prompts
from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.engines.crew import Crew
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.shards import merge
from sora_eval.records.clip import Clip
from sora_eval.registry.metrics import METRICS
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import Shard
from sora_eval.suite import Suite, load_suite
from sora_eval.util.weights import cache_folder
from sora_eval.video.codec import write_clip
from tests.equal_rows import rows_of

FPS, SECONDS = 4, 5  # Physics-IQ takes clips of 5 s
GENERATOR = """
import time

import numpy as np

from reference_model.world import Facts, make_clip


def clip(request):
    rng = np.random.default_rng(request.seed)
    frames = make_clip(Facts.from_json(request.facts), request.height, request.width, request.num_frames, rng).frames
    return (frames + rng.normal(0, 12, frames.shape)).clip(0, 255).astype(np.uint8)


def slow(request):
    time.sleep(1.0)
    return clip(request)


def real(request):
    rng = np.random.default_rng(request.seed)
    return make_clip(Facts.from_json(request.facts), request.height, request.width, request.num_frames, rng).frames
"""
SUITE = """
[suite]
id = "everything"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["32x32", "40x24"]
"""
OWN = """
frames = [20]
fps = 4
seeds = [0]
[reference]
generator = "python:damaged:real"
copies = 2
"""
REFERENCE_MODEL = """
frames = [17]
fps = 8
seeds = [0]
[generate]
num_inference_steps = 4
[reference]
generator = "world"
copies = 2
[oracles]
generators = ["world", "vae"]
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)


def write_material(folder: Path, prompts: int, network: str) -> None:
    """`everything.toml`, whose generator is `python:damaged:clip`, and `model.toml`, that of the reference model, both with
    every built-in metric; set metrics by `network`, an ONNX file, or by I3D where it is ''."""
    lines = []
    (folder / "takes").mkdir()
    for i, prompt in enumerate(sample_prompts(prompts, 5)):
        name = f"{i + 1:04d}_perspective-left_trimmed-scene-{i + 1}"
        lines.append(json.dumps({**prompt, "id": name}) + "\n")
        for take in (1, 2):
            rng = np.random.default_rng([i, take])
            frames = make_clip(Facts.from_json(prompt["facts"]), 32, 32, FPS * SECONDS, rng).frames
            file = f"{i + 1:04d}_testing-videos_{FPS}FPS_perspective-left_take-{take}_trimmed-scene-{i + 1}.mkv"
            write_clip(Clip(frames, float(FPS)), folder / "takes" / file)
    (folder / "prompts.jsonl").write_text("".join(lines))
    (folder / "damaged.py").write_text(GENERATOR)
    metrics = "".join(_table(name, network) for name in METRICS.built_in)
    (folder / "everything.toml").write_text(SUITE + OWN.strip() + "\n" + metrics)
    (folder / "model.toml").write_text(SUITE + REFERENCE_MODEL.strip() + "\n" + metrics)


def _table(metric: str, network: str) -> str:
    info = METRICS.built_in[metric]  # a network of videos is none of pictures, which metrics of single clips take
    options = {"network": network} if network and info.kind != "per-clip" and "network" in info.options else {}
    if metric == "physics_iq":
        options = {"real": "takes"}
    return f"[metrics.{metric}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())


def forget_features() -> None:
    """Every run computes its own: one that read those of the run before would be equal whatever it does."""
    shutil.rmtree(cache_folder() / "features", ignore_errors=True)


def whole_run(suite: str, spec: str) -> RunFolder:
    """The run of one process."""
    forget_features()
    return evaluate.run(load_suite(suite), spec, "runs")


def engine_run(suite: str, spec: str, options: EngineOptions) -> RunFolder:
    """The run of an engine."""
    forget_features()
    return evaluate.run(load_suite(suite), spec, "runs", engine=options)


def merged_run(suite: str, spec: str, count: int) -> RunFolder:
    """The run of so many shards, merged in another order than theirs."""
    read: Suite = load_suite(suite)
    parts = []
    for i in range(1, count + 1):
        forget_features()
        parts.append(evaluate.run(read, spec, "shards", shard=Shard(index=i, count=count)))
    return merge(parts[::-1], "runs")


def content_of(run: RunFolder) -> dict[str, Any]:
    """Every row and every vector."""
    vectors = {path.stem: run.load_features(path.stem) for path in sorted(run.path.glob("features/*.npz"))}
    return {**rows_of(run), "vectors": {n: {k: v.tolist() for k, v in arrays.items()} for n, arrays in vectors.items()}}


@dataclass
class Kills:
    """What became of the runs of one engine whose workers were killed."""

    engine: str
    runs: int = 0
    equal: int = 0
    of: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        return sum(self.of[s.name] for s in SIGNALS)

    def row(self) -> list[str | int]:
        """The engine, its runs, kills, those of workers that were not open yet, of generators and of scorers, by signal, and
        the runs that ended as an undisturbed one."""
        by = [self.of[what] for what in ("opening", "generator", "scorer", *(s.name for s in SIGNALS))]
        return [self.engine, self.runs, self.number, *by, self.equal]


HEAD = ["engine", "runs", "kills", "while opening", "of a generator", "of a scorer", *(s.name for s in SIGNALS), "equal"]


@contextmanager
def killing(
    workers: Callable[[], list[psutil.Process]],
    moments: list[float],
    rng: np.random.Generator,
    kills: Kills,
    *,
    open_first: bool,
) -> Iterator[None]:
    """Inside, one of the `workers` is killed at each of the moments, seconds from now or, with `open_first`, from when one
    is open; later, where there is none yet."""
    ended, begins, whose = threading.Event(), threading.Event(), dict[int, str]()
    opened = Crew._opened

    def noted(self: Any, worker: Any, opening: Any) -> None:
        opened(self, worker, opening)
        whose.update((place.pid, self._what) for _, place in self._idle)
        begins.set()

    def kill() -> None:
        if open_first:
            begins.wait()
        begun = time.monotonic()
        for moment in sorted(moments):
            ended.wait(max(begun + moment - time.monotonic(), 0))
            while not ended.is_set():
                if there := workers():
                    process, sign = there[rng.integers(len(there))], SIGNALS[rng.integers(len(SIGNALS))]
                    try:
                        process.send_signal(sign)
                    except psutil.NoSuchProcess:
                        continue
                    kills.of.update([whose.get(process.pid, "opening"), sign.name])
                    break
                time.sleep(0.02)

    thread = threading.Thread(target=kill)
    Crew._opened = noted  # type: ignore[method-assign]
    thread.start()
    try:
        yield
    finally:
        ended.set()
        begins.set()
        thread.join()
        Crew._opened = opened  # type: ignore[method-assign]


def local_workers() -> list[psutil.Process]:
    """The worker processes of this process."""
    return [process for process in psutil.Process().children() if "spawn_main" in _words(process)]


def actors_of(cluster: Any) -> Callable[[], list[psutil.Process]]:
    """The actors of a cluster in this machine."""

    def actors() -> list[psutil.Process]:
        found = []
        for node in cluster.list_all_nodes():
            for raylet in node.all_processes.get("raylet", []):
                children = psutil.Process(raylet.process.pid).children(recursive=True)
                found += [process for process in children if "ray::Holder" in _words(process)]
        return found

    return actors


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
