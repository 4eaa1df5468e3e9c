"""Run data and run folders made of numbers, for tests of what is judged rather than of how clips are scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.compare.run_data import RunData, data_of
from sora_eval.gate.judge import gate
from sora_eval.records.case import Prompt
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow, TimingRow, parsed
from sora_eval.runs.upgrade import SCHEMA_VERSION
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.suite import Gate, Suite

SUITE = {"id": "made", "version": 1, "fingerprint": "f00d"}
SHAPES = ("32x32x9", "40x24x9")


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
    path.mkdir(parents=True)
    (path / "features").mkdir()
    run = RunFolder(path)
    (path / "suite.json").write_text(json.dumps(_suite(gates or {}).to_json()))
    run.write_head(head_of(suite={**SUITE, "fingerprint": _suite({}).fingerprint}, **head))
    sizes = [tuple(map(int, i.split("/")[1].split("x"))) for i in ids]
    run.replace(
        SampleRow,
        [
            SampleRow(
                id=i,
                prompt_id=i.split("/")[0],
                width=w,
                height=h,
                frames=t,
                fps=8.0,
                tags=("even" if int(i[1:3]) % 2 == 0 else "odd",),
                sha256="0",
            )
            for i, (w, h, t) in zip(ids, sizes, strict=True)
        ],
    )
    rows, metrics = [], []
    for metric, values in (scores or {}).items():
        for i, value in zip(ids, values, strict=True):
            reason = value if isinstance(value, str) else ""
            status = "ok" if not isinstance(value, str) else value.split(":")[0]
            rows.append(_score(i, metric, None if isinstance(value, str) else float(value), status, reason))
        known = [float(v) for v in values if not isinstance(v, str)]
        metrics.append(_metric(metric, "all", float(np.mean(known)) if known else None, len(known), len(ids), higher))
    for metric, values in (features or {}).items():
        run.save_features(metric, ids, np.asarray(values, np.float32))
        run.save_features(f"reference-{metric}", ids, np.asarray(reference, np.float32))
        row = _metric(metric, "all", 1.0, len(ids), len(ids), False)
        statistic = SetStatistic(kind="frechet")
        metrics.append(row.model_copy(update={"signature": f"{metric}|x|{statistic}", "statistic": statistic}))
    timings = []
    for shape, repeats in (seconds or {}).items():
        metrics.append(_metric("latency", shape, float(np.median(repeats)), len(repeats), len(repeats), False))
        timings += [TimingRow(id=shape, stage="whole", repeat=k, seconds=s, bytes=1, tokens=10) for k, s in enumerate(repeats)]
    run.replace(ScoreRow, rows)
    run.replace(MetricRow, metrics)
    run.replace(TimingRow, timings)
    return run


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


def _score(case: str, metric: str, value: float | None, status: Any, reason: str) -> ScoreRow:
    return ScoreRow(id=case, metric=metric, value=value, status=status, reason=reason, signature=metric)


def _metric(metric: str, label: str, value: float | None, scored: int, expected: int, higher: bool) -> MetricRow:
    return MetricRow(
        metric=metric,
        slice=label,
        value=value,
        status="ok" if value is not None else "error",
        reason="" if value is not None else "no score at all",
        n_expected=expected,
        n_scored=scored,
        unit="1",
        higher_is_better=higher,
        signature=metric,
        declared=metric.partition(".")[0],
        family="speed" if metric == "latency" else "temporal",
    )


def make_data(scores: dict[str, Any], prompts: list[str], higher: bool = False, **head: Any) -> RunData:
    """The same in memory, per-clip metrics only: `scores` has a value per case, `prompts` the prompt of each."""
    ids = [f"{p}/32x32x9/{i}" for i, p in enumerate(prompts)]
    samples = {
        i: SampleRow(id=i, prompt_id=p, width=32, height=32, frames=9, fps=8.0) for i, p in zip(ids, prompts, strict=True)
    }
    metrics = {(m, "all"): _metric(m, "all", float(np.mean(v)), len(v), len(v), higher) for m, v in scores.items()}
    rows = {m: {i: _score(i, m, float(v), "ok", "") for i, v in zip(ids, values, strict=True)} for m, values in scores.items()}
    return RunData("run", "made", head_of(**{"hardware": {}, **head}), samples, metrics, rows, {})


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
