"""Made runs: whole run folders of known content, without a generator or a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sora_eval.records.clip import Clip
from sora_eval.records.verdict import GateResult, GateRow, Verdict
from sora_eval.registry.metrics import REGISTRY
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import GeneratorId, GitState, RunHead, SuiteId
from sora_eval.runs.rows import AttributionRow, MetricRow, SampleRow, ScoreRow, TimingRow
from sora_eval.runs.upgrade import SCHEMA_VERSION
from sora_eval.stats.intervals import mean_interval
from sora_eval.video.codec import write_clip

HOSTILE = (
    """<script>document.title="owned"</script> "quotes" 'single' </script><img src=x onerror=alert(1)> """
    "& $x_1$ {{ 7*7 }} | bar"
)
METRICS = {  # name: unit, higher is better
    "clip_score": ("100 cos", True),
    "warping_error": ("intensity^2", False),
    "dynamic_degree.magnitude": ("% of short side", None),
    "physics_laws.permanence": ("share", True),
    "physics_laws.continuity": ("share", True),
}
SHAPES = ("32x32x9", "40x24x9")
COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10)}


def make_run(
    root: Path,
    name: str,
    *,
    checkpoint: str = "early",
    steps: int | None = None,
    shift: float = 0.0,
    prompts: int = 6,
    metrics: dict[str, tuple[str, bool | None]] | None = None,
    clips: bool = True,
    timings: int = 3,
    seed: int = 0,
    seed_offset: int = 0,
    commit: str | None = "c0ffee1234",
) -> RunFolder:
    """A run of `prompts` x 2 shapes whose every score is moved by `shift` standard deviations; the first prompt is hostile."""
    metrics = metrics or METRICS
    rng = np.random.default_rng([seed, seed_offset])
    run = RunFolder(root / name)
    (run.path / "clips").mkdir(parents=True)
    (run.path / "features").mkdir()
    texts = [HOSTILE, *(f"a red circle falls, number {i}" for i in range(1, prompts))]
    samples: list[SampleRow] = []
    scores: list[ScoreRow] = []
    for i, text in enumerate(texts):
        for shape in SHAPES:
            width, height, frames = map(int, shape.split("x"))
            case = f"p{i}/{shape}/0"
            clip = Clip(moving_square(width, height, frames, "red" if checkpoint == "early" else "green"), 8.0)
            path = run.clip_path(case)
            if clips:
                write_clip(clip, path)
            samples.append(
                SampleRow(
                    id=case,
                    prompt_id=f"p{i}",
                    prompt=text,
                    tags=("objects:1", "even" if i % 2 == 0 else "odd"),
                    width=width,
                    height=height,
                    frames=frames,
                    fps=8.0,
                    clip=f"clips/{path.name}",
                    sha256=clip.sha256,
                    seconds={"denoise": 0.5},
                    peak_bytes=1000,
                )
            )
            for metric, (_, higher) in metrics.items():
                value = 10 + rng.standard_normal() + shift * (-1 if higher is False else 1)
                detail = {"broken_frames": [2, 3]} if metric.startswith("physics_laws") else {}
                scores.append(ScoreRow(id=case, metric=metric, value=value, detail=detail, signature=f"{metric}|made"))
    run.replace(SampleRow, samples)
    run.replace(ScoreRow, scores)
    run.replace(TimingRow, [r for shape in SHAPES for r in _timings(shape, timings, shift)])
    run.replace(MetricRow, [_summary(metric, facts, scores) for metric, facts in metrics.items()] + _speed(timings, shift))
    run.replace(AttributionRow, _shares([r.id for r in samples], rng))
    suite = SuiteId(id="made", version=1, fingerprint="5eed")
    declared = {"suite": {"id": suite.id, "version": suite.version}}
    (run.path / "suite.json").write_text(json.dumps({"declared": declared, "prompts": []}))
    run.write_head(
        RunHead(
            schema_version=SCHEMA_VERSION,
            status="success",
            suite=suite,
            seed_offset=seed_offset,
            generator=GeneratorId(
                spec=f"made:{checkpoint}",
                name="made",
                checkpoint=checkpoint,
                fingerprint=f"hash-{checkpoint}",
                training_steps=steps,
            ),
            git=GitState(commit=commit, dirty=False),
            hardware={"cpu": "abacus", "cores": 2, "memory_bytes": 1, "platform": "Linux"},
            software={"sora_eval": "0.1.0", "numpy": "2"},
            started=f"2026-01-{1 + seed:02d}T00:00:00Z",
            finished=f"2026-01-{1 + seed:02d}T00:01:00Z",
            command="made",
            cases=len(samples),
        )
    )
    return run


def _shares(cases: list[str], rng: np.random.Generator) -> list[AttributionRow]:
    """Shares of the clips in a distance, rank 1 the largest."""
    values = rng.standard_normal(len(cases))
    ranks = (-values).argsort().argsort() + 1
    return [
        AttributionRow(id=i, metric="fvd", value=float(v), rank=int(r), signature="fvd|made")
        for i, v, r in zip(cases, values, ranks, strict=True)
    ]


def moving_square(width: int, height: int, frames: int, colour: str) -> np.ndarray:
    """A square that moves right by a pixel a frame on grey."""
    out = np.full((frames, height, width, 3), 60, np.uint8)
    for t in range(frames):
        out[t, 8:16, 2 + t : 10 + t] = COLOURS[colour]
    return out


def _timings(shape: str, repeats: int, shift: float) -> list[TimingRow]:
    return [
        TimingRow(id=shape, stage=stage, repeat=i, seconds=part * (1 + 0.1 * shift + 0.01 * i), bytes=5, tokens=48)
        for i in range(repeats)
        for stage, part in (("whole", 1.0), ("denoise", 0.9))
    ]


def _summary(metric: str, facts: tuple[str, bool | None], scores: list[ScoreRow]) -> MetricRow:
    rows = [r for r in scores if r.metric == metric]
    values = [r.value for r in rows if r.value is not None]
    interval = mean_interval(values, [r.id.split("/")[0] for r in rows])
    declared = metric.partition(".")[0]
    return MetricRow(
        metric=metric,
        slice="all",
        value=float(np.mean(values)),
        n_expected=len(values),
        n_scored=len(values),
        low=interval.low,
        high=interval.high,
        method=interval.method,
        unit=facts[0],
        higher_is_better=facts[1],
        signature=f"{metric}|made",
        declared=declared,
        family=REGISTRY[declared].family,
    )


def _speed(repeats: int, shift: float) -> list[MetricRow]:
    return [
        MetricRow(
            metric="latency",
            slice=shape,
            value=1 + 0.1 * shift,
            n_expected=repeats,
            n_scored=repeats,
            unit="s",
            higher_is_better=False,
            signature="latency|made",
            family="speed",
        )
        for shape in (SHAPES if repeats else ())
    ]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one suite, the second better by half a standard deviation."""
    root = tmp_path_factory.mktemp("runs")
    base = make_run(root, "base-run", steps=500)
    new = make_run(root, "new-run", checkpoint="late", steps=2000, shift=0.5, seed=1)
    return [base.path, new.path]


@pytest.fixture
def gate() -> dict[str, Any]:
    """A verdicts.json whose prompts of trouble are a regression and a metric that is gone."""
    fallen = GateRow(
        metric="clip_score",
        slice="all",
        verdict=Verdict.REGRESSED,
        reason="clip_score fell by 12 %",
        limit="-5 %",
        min_change=0.1,
        base=10.0,
        new=8.8,
        change=-1.2,
        change_percent=-12.0,
        low=-1.5,
        high=-0.9,
        p=0.001,
        p_adjusted=0.002,
        n=12,
        unit="100 cos",
        higher_is_better=True,
        method="made",
        detectable=0.4,
    )
    lost = GateRow(metric="fvd", slice="all", verdict=Verdict.MISSING, reason="renamed?", limit="", min_change=0.0)
    baseline = {"label": "made:early", "kind": "baseline", "path": "x"}
    return json.loads(json.dumps(GateResult((fallen, lost), True, None, {}, baseline).to_json()))
