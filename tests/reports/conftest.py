"""Made runs: whole run folders of known content, without a generator or a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
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
    samples: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    for i, text in enumerate(texts):
        for shape in SHAPES:
            width, height, frames = map(int, shape.split("x"))
            case = f"p{i}/{shape}/0"
            row = {"id": case, "prompt_id": f"p{i}", "prompt": text, "tags": ["objects:1", "even" if i % 2 == 0 else "odd"]}
            row |= {"width": width, "height": height, "frames": frames, "fps": 8.0, "seed": 0, "status": "ok", "error": ""}
            clip = Clip(moving_square(width, height, frames, "red" if checkpoint == "early" else "green"), 8.0)
            path = run.clip_path(case)
            if clips:
                write_clip(clip, path)
            row |= {"clip": f"clips/{path.name}", "sha256": clip.sha256, "seconds": {"denoise": 0.5}, "peak_bytes": 1000}
            samples.append(row)
            for metric, (_, higher) in metrics.items():
                value = 10 + rng.standard_normal() + shift * (-1 if higher is False else 1)
                detail = {"broken_frames": [2, 3]} if metric.startswith("physics_laws") else {}
                scores.append({"id": case, "metric": metric, "value": value, "status": "ok", "reason": "", "detail": detail})
                scores[-1]["signature"] = f"{metric}|made"
    run.replace("samples", samples)
    run.replace("scores", scores)
    run.replace("timings", [r for shape in SHAPES for r in _timings(shape, timings, shift)])
    run.replace("metrics", [_summary(metric, facts, scores) for metric, facts in metrics.items()] + _speed(timings, shift))
    run.replace("attribution", _shares([r["id"] for r in samples], rng))
    suite = {"id": "made", "version": 1, "fingerprint": "5eed"}
    (run.path / "suite.json").write_text(json.dumps({"declared": {"suite": suite}, "prompts": []}))
    generator = {"spec": f"made:{checkpoint}", "name": "made", "checkpoint": checkpoint, "fingerprint": f"hash-{checkpoint}"}
    run.write_head(
        {
            "schema_version": 1,
            "status": "success",
            "partial": False,
            "limit": None,
            "suite": suite,
            "seed_offset": seed_offset,
            "generator": {**generator, "steps": steps},
            "git": {"commit": commit, "dirty": False},
            "hardware": {"cpu": "abacus", "cores": 2, "memory_bytes": 1, "platform": "Linux"},
            "software": {"sora_eval": "0.1.0", "numpy": "2"},
            "started": f"2026-01-{1 + seed:02d}T00:00:00Z",
            "finished": f"2026-01-{1 + seed:02d}T00:01:00Z",
            "command": "made",
            "cases": len(samples),
            "failed_cases": 0,
            "failed_metrics": 0,
        }
    )
    return run


def _shares(cases: list[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Shares of the clips in a distance, rank 1 the largest."""
    values = rng.standard_normal(len(cases))
    ranks = (-values).argsort().argsort() + 1
    return [
        {"id": i, "metric": "fvd", "value": float(v), "rank": int(r), "signature": "fvd|made"}
        for i, v, r in zip(cases, values, ranks, strict=True)
    ]


def moving_square(width: int, height: int, frames: int, colour: str) -> np.ndarray:
    """A square that moves right by a pixel a frame on grey."""
    out = np.full((frames, height, width, 3), 60, np.uint8)
    for t in range(frames):
        out[t, 8:16, 2 + t : 10 + t] = COLOURS[colour]
    return out


def _timings(shape: str, repeats: int, shift: float) -> list[dict[str, Any]]:
    rows = []
    for repeat in range(repeats):
        for stage, part in (("whole", 1.0), ("denoise", 0.9)):
            seconds = part * (1 + 0.1 * shift + 0.01 * repeat)
            rows.append(
                {"id": shape, "stage": stage, "repeat": repeat, "seconds": seconds, "bytes": 5, "tokens": 48, "reason": ""}
            )
    return rows


def _metric(metric: str, label: str, value: float | None, unit: str, higher: bool | None, **more: Any) -> dict[str, Any]:
    row = {"metric": metric, "slice": label, "value": value, "status": "ok", "reason": "", "n_expected": 1, "n_scored": 1}
    row |= {"low": None, "high": None, "method": "", "unit": unit, "higher_is_better": higher, "signature": f"{metric}|made"}
    return row | more


def _summary(metric: str, facts: tuple[str, bool | None], scores: list[dict[str, Any]]) -> dict[str, Any]:
    own = [r for r in scores if r["metric"] == metric]
    values = [r["value"] for r in own]
    interval = mean_interval(values, [r["id"].split("/")[0] for r in own])
    counts = {"n_expected": len(values), "n_scored": len(values)}
    ends = {"low": interval.low, "high": interval.high, "method": interval.method}
    return _metric(metric, "all", float(np.mean(values)), *facts, **counts, **ends)


def _speed(repeats: int, shift: float) -> list[dict[str, Any]]:
    if not repeats:
        return []
    return [_metric("latency", shape, 1 + 0.1 * shift, "s", False, n_expected=repeats, n_scored=repeats) for shape in SHAPES]


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
    row = {"metric": "clip_score", "slice": "all", "verdict": "REGRESSED", "reason": "clip_score fell by 12 %", "limit": "-5 %"}
    row |= {
        "floor": 0.1,
        "base": 10.0,
        "new": 8.8,
        "change": -1.2,
        "change_percent": -12.0,
        "low": -1.5,
        "high": -0.9,
        "p": 0.001,
    }
    row |= {"p_adjusted": 0.002, "n": 12, "unit": "100 cos", "higher_is_better": True, "method": "made", "detectable": 0.4}
    lost = {**dict.fromkeys(row), "metric": "fvd", "slice": "all", "verdict": "MISSING", "reason": "renamed?", "n": 0}
    head = {"schema_version": 1, "verdict": "REGRESSED", "exit_code": 10, "strict": True, "profile": None, "incomplete": ""}
    return {**head, "baseline": {"label": "made:early", "kind": "baseline", "path": "x"}, "rows": [row, lost]}
