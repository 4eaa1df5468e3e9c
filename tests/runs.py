"""Runs made of numbers, on disk and in memory: no generator, no network, every row one of `sora_eval.runs.rows`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.compare.run_data import RunData, data_of
from sora_eval.gate.judge import gate
from sora_eval.records.case import Prompt
from sora_eval.records.clip import Clip
from sora_eval.registry import metrics as registry
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import AttributionRow, MetricRow, Row, SampleRow, ScoreRow, TimingRow, parsed
from sora_eval.runs.upgrade import SCHEMA_VERSION
from sora_eval.stats.cluster_means import mean_interval
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.suite import Gate, Suite
from sora_eval.video.codec import write_clip

SUITE = {"id": "made", "version": 1, "fingerprint": "f00d"}
SHAPES = ("32x32x9", "40x24x9")
HOSTILE = (
    """<script>document.title="owned"</script> "quotes" 'single' </script><img src=x onerror=alert(1)> """
    "& $x_1$ {{ 7*7 }} | bar"
)
# The same for Markdown, XML, LaTeX and terminals.
WORSE = HOSTILE + (
    " ![p](http://127.0.0.1:9/p.png) [l](javascript:alert(1)) `c` <http://127.0.0.1:9> \\input{x} % ]]> &amp;"
    " \x1b]0;owned\x07\u202e\n\n# h\n<b>"
)
METRICS: dict[str, tuple[str, bool | None]] = {  # unit, higher is better
    "clip_score": ("100 cos", True),
    "warping_error": ("intensity^2", False),
    "dynamic_degree.magnitude": ("% of short side", None),
    "physics_laws.permanence": ("share", True),
    "physics_laws.continuity": ("share", True),
}
COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10)}


def make_run(
    path: Path,
    scores: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
    *,
    prompts: int = 12,
    higher: bool = True,
    seconds: dict[str, list[float]] | None = None,
    reference: Any = None,
    gates: dict[str, Gate] | None = None,
    **head: Any,
) -> RunFolder:
    """A finished run: `prompts` x two shapes cases. `scores` has (cases,) values a metric, None or a reason where there is
    no score; `features` (cases, D) vectors; `seconds` repeats a shape."""
    ids = [f"p{p:02d}/{shape}/0" for p in range(prompts) for shape in SHAPES]
    run = _folder(path, _suite(gates or {}).to_json())
    run.write_head(head_of(suite={**SUITE, "fingerprint": _suite({}).fingerprint}, **head))
    samples = [_sample(i, tags=("even" if int(i[1:3]) % 2 == 0 else "odd",), sha256=f"{path.name} {i}") for i in ids]
    rows = [_score(i, metric, v) for metric, values in (scores or {}).items() for i, v in zip(ids, values, strict=True)]
    metrics = [_mean(metric, [r for r in rows if r.metric == metric], higher_is_better=higher) for metric in scores or {}]
    statistic = SetStatistic(kind="frechet")
    for metric, values in (features or {}).items():
        run.save_features(metric, ids, np.asarray(values, np.float32))
        vectors = np.asarray(reference, np.float32)
        run.save_features(f"reference-{metric}", [*ids, *(f"r{i}" for i in range(len(vectors)))][: len(vectors)], vectors)
        facts = {"signature": f"{metric}|x|{statistic}", "statistic": statistic, "higher_is_better": False}
        metrics.append(_metric(metric, 1.0, len(ids), **facts))
    timings = []
    for shape, repeats in (seconds or {}).items():
        metrics.append(_latency(shape, float(np.median(repeats)), len(repeats)))
        timings += _timings(shape, {"whole": repeats})
    return _written(run, samples, rows, metrics, timings)


def drawn_run(
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
    """A run for reports, with clips, intervals and shares in a distance: `prompts` x two shapes cases.

    Scores are drawn around 10 and moved by `shift` standard deviations for the better; the first prompt is hostile.
    """
    metrics = metrics or METRICS
    rng = np.random.default_rng([seed, seed_offset])
    run = _folder(root / name, {"declared": {"suite": {"id": SUITE["id"], "version": SUITE["version"]}}, "prompts": []})
    samples: list[SampleRow] = []
    scores: list[ScoreRow] = []
    for i, text in enumerate([HOSTILE, *(f"a red circle falls, number {i}" for i in range(1, prompts))]):
        for shape in SHAPES:
            case = f"p{i}/{shape}/0"
            clip = Clip(moving_square(*_sizes(case), "red" if checkpoint == "early" else "green"), 8.0)
            path = run.clip_path(case)
            if clips:
                write_clip(clip, path)
            facts = {"prompt": text, "tags": ("objects:1", "even" if i % 2 == 0 else "odd"), "seconds": {"denoise": 0.5}}
            samples.append(_sample(case, **facts, clip=f"clips/{path.name}", sha256=clip.sha256, peak_bytes=1000))
            for metric, (_, higher) in metrics.items():
                value = 10 + rng.standard_normal() + shift * (-1 if higher is False else 1)
                detail = {"broken_frames": [2, 3]} if metric.startswith("physics_laws") else {}
                scores.append(_score(case, metric, value, detail=detail))
    summary = []
    for metric, (unit, higher) in metrics.items():
        rows = [r for r in scores if r.metric == metric]
        interval = mean_interval([r.value for r in rows], [r.id.split("/")[0] for r in rows])
        ends = {"low": interval.low, "high": interval.high, "method": interval.method}
        summary.append(_mean(metric, rows, unit=unit, higher_is_better=higher, **ends))
    parts = {"whole": 1.0, "denoise": 0.9}
    repeats = {stage: [part * (1 + 0.1 * shift + 0.01 * i) for i in range(timings)] for stage, part in parts.items()}
    if timings:
        summary += [_latency(shape, 1 + 0.1 * shift, timings) for shape in SHAPES]
    speed = [row for shape in SHAPES for row in _timings(shape, repeats)]
    generator = {"spec": f"made:{checkpoint}", "name": "made", "checkpoint": checkpoint, "fingerprint": f"hash-{checkpoint}"}
    run.write_head(
        head_of(
            suite={**SUITE, "fingerprint": "5eed"},
            seed_offset=seed_offset,
            generator={**generator, "training_steps": steps},
            git={"commit": commit, "dirty": False},
            hardware={"cpu": "abacus", "cores": 2, "memory_bytes": 1, "platform": "Linux"},
            software={"sora_eval": "0.1.0", "numpy": "2"},
            started=f"2026-01-{1 + seed:02d}T00:00:00Z",
            finished=f"2026-01-{1 + seed:02d}T00:01:00Z",
            command="made",
            cases=len(samples),
        )
    )
    return _written(run, samples, scores, summary, speed, _shares([r.id for r in samples], rng))


def made_hostile(run: RunFolder, text: str = WORSE) -> RunFolder:
    """The same run with `text` in every field that whoever made it can fill."""
    names = ("id", "prompt_id", "prompt")
    edit(run, SampleRow, lambda r: {**r, **{k: f"{text} {r[k]}" for k in names}, "tags": [text, *r["tags"]]})
    broken = run.rows(SampleRow)[-1].id
    edit(run, SampleRow, lambda r: {**r, "status": "error", "error": text, "clip": text} if r["id"] == broken else r)
    edit(run, ScoreRow, lambda r: {**r, "id": f"{text} {r['id']}", "signature": text})
    edit(run, ScoreRow, lambda r: {**r, "value": None, "status": "error", "reason": text} if r["id"] == broken else r)
    edit(run, AttributionRow, lambda r: {**r, "id": f"{text} {r['id']}", "signature": text})
    words = dict.fromkeys(("unit", "method", "reason", "signature", "family"), text)
    edit(run, MetricRow, lambda r: {**r, **({} if r["family"] == "speed" else words)})
    edit(run, TimingRow, lambda r: {**r, "stage": text} if r["stage"] == "denoise" else r)
    run.append([TimingRow(id=text, stage="failed", repeat=0, seconds=None, reason=text)])
    spec = {"spec": text, "name": text, "checkpoint": text, "fingerprint": text}
    head = {"hardware": {"cpu": text, text: text}, "software": {text: text}, "started": text, "command": text}
    git, suite = run.head.git.model_copy(update={"commit": text}), run.head.suite.model_copy(update={"fingerprint": text})
    run.update_head(generator=run.head.generator.model_copy(update=spec), git=git, suite=suite, **head)
    return run


def moving_square(width: int, height: int, frames: int, colour: str) -> np.ndarray:
    """A square that moves right by a pixel per frame on grey."""
    out = np.full((frames, height, width, 3), 60, np.uint8)
    for t in range(frames):
        out[t, 8:16, 2 + t : 10 + t] = COLOURS[colour]
    return out


def head_of(**changes: Any) -> RunHead:
    """run.json of a finished run; nested records as plain tables."""
    head = {
        "schema_version": SCHEMA_VERSION,
        "status": "success",
        "suite": SUITE,
        "generator": {"spec": "made", "name": "made", "checkpoint": "", "fingerprint": "w1"},
        "git": {"commit": "c0ffee", "dirty": False},
        "hardware": {"cpu": "abacus", "cores": 2},
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:01:00Z",
    }
    return parsed(RunHead, {**head, **changes})


def _suite(gates: dict[str, Gate]) -> Suite:
    data: dict[str, Any] = {
        "suite": {"id": "made"},
        "metrics": {"fvd": {}, "clip_score": {}},
        "gates": {m: g.model_dump() for m, g in gates.items()},
    }
    suite = Suite.model_validate(data)
    suite.__dict__["prompt_list"] = [Prompt("p00", "a red circle falls")]
    return suite


def _folder(path: Path, suite: dict[str, Any]) -> RunFolder:
    (path / "clips").mkdir(parents=True)
    (path / "features").mkdir()
    (path / "suite.json").write_text(json.dumps(suite))
    return RunFolder(path)


def _written(run: RunFolder, *tables: Sequence[Row]) -> RunFolder:
    for model, rows in zip((SampleRow, ScoreRow, MetricRow, TimingRow, AttributionRow), tables, strict=False):
        run.replace(model, rows)
    return run


def _sizes(case: str) -> tuple[int, int, int]:
    """Width, height and frames of `prompt_id/WxHxT/seed`."""
    width, height, frames = map(int, case.split("/")[1].split("x"))
    return width, height, frames


def _sample(case: str, **facts: Any) -> SampleRow:
    prompt, (width, height, frames) = case.partition("/")[0], _sizes(case)
    return SampleRow(id=case, prompt_id=prompt, width=width, height=height, frames=frames, fps=8.0, **facts)


def _score(case: str, metric: str, value: Any, **facts: Any) -> ScoreRow:
    """A score, or where `value` is a text, its status and the reason why there is none."""
    if isinstance(value, str):
        facts |= {"status": value.split(":")[0], "reason": value}
    number = None if isinstance(value, str) else float(value)
    return ScoreRow(id=case, metric=metric, value=number, signature=f"{metric}|made", **facts)


def _metric(metric: str, value: float | None, n: int, **facts: Any) -> MetricRow:
    """The row of all cases, of which `n` have a score."""
    declared = metric.partition(".")[0]
    family = registry.METRICS.built_in[declared].family if declared in registry.METRICS.built_in else "temporal"
    defaults = {"slice": "all", "unit": "1", "signature": f"{metric}|made", "declared": declared, "family": family}
    return MetricRow(metric=metric, value=value, **{"n_expected": n, "n_scored": n, **defaults, **facts})


def _mean(metric: str, rows: Sequence[ScoreRow], **facts: Any) -> MetricRow:
    known = [r.value for r in rows if r.value is not None]
    if not known:
        facts |= {"status": "error", "reason": "no score at all"}
    return _metric(metric, float(np.mean(known)) if known else None, len(known), n_expected=len(rows), **facts)


def _latency(shape: str, seconds: float, repeats: int) -> MetricRow:
    facts = {"slice": shape, "unit": "s", "higher_is_better": False, "declared": "", "family": "speed"}
    return _metric("latency", seconds, repeats, **facts)


def _timings(shape: str, stages: dict[str, list[float]]) -> list[TimingRow]:
    """Repeats of every stage, in the order in which a sweep writes them."""
    return [
        TimingRow(id=shape, stage=stage, repeat=repeat, seconds=seconds, bytes=5, tokens=48)
        for repeat, of_stages in enumerate(zip(*stages.values(), strict=True))
        for stage, seconds in zip(stages, of_stages, strict=True)
    ]


def _shares(cases: list[str], rng: np.random.Generator) -> list[AttributionRow]:
    """Shares of the clips in a distance, rank 1 the largest."""
    values = rng.standard_normal(len(cases))
    ranks = (-values).argsort().argsort() + 1
    return [
        AttributionRow(id=i, metric="fvd", value=float(v), rank=int(r), signature="fvd|made")
        for i, v, r in zip(cases, values, ranks, strict=True)
    ]


def make_data(scores: dict[str, Any], prompts: list[str], higher: bool = False, **head: Any) -> RunData:
    """The same in memory, per-clip metrics only: `scores` has a value per case, `prompts` the prompt of each."""
    ids = [f"{p}/32x32x9/{prompts[:i].count(p)}" for i, p in enumerate(prompts)]
    rows = {m: {i: _score(i, m, v) for i, v in zip(ids, values, strict=True)} for m, values in scores.items()}
    metrics = {(m, "all"): _mean(m, list(of_metric.values()), higher_is_better=higher) for m, of_metric in rows.items()}
    return RunData("run", "made", head_of(**{"hardware": {}, **head}), {i: _sample(i) for i in ids}, metrics, rows, {})


def reopened(run: RunFolder) -> RunData:
    """What is on disk now."""
    return data_of(RunFolder.open(run.path))


UP = Gate(max_increase=10.0)
PROMPTS = [f"p{i // 2:02d}" for i in range(24)]


def values(seed, mean=10.0, spread=1.0, n=24):
    """Scores of `n` cases, two a prompt."""
    return mean + spread * np.random.default_rng(seed).standard_normal(n)


def verdict(base, new, spec=UP, prompts=PROMPTS, **options):
    """The row of one gate on scores of BASE and NEW."""
    pair = [make_data({"m": np.asarray(v, float)}, prompts[: len(v)]) for v in (base, new)]
    return gate(pair[1], pair[0], {"m": spec}, **options).rows[0]


def edit(run: RunFolder, row: type[Any], change: Any) -> None:
    """Change the rows of a table of a run: `change` gets a row as a plain table and returns it, or None to take it out."""
    tables = [change(r.model_dump(mode="json")) for r in run.rows(row)]
    run.replace(row, [parsed(row, table) for table in tables if table is not None])
