"""Ten answers and the numbers that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.compare.checkpoints import CheckpointOrder, checkpoint_order, names_of
from sora_eval.compare.comparison import Comparison, compare
from sora_eval.compare.run_data import RunData
from sora_eval.gate.judge import gate
from sora_eval.records.scale import Mark, MetricScale, Scale
from sora_eval.records.verdict import GateResult
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import Gate
from sora_eval_reports.answer.ladder import ladder
from sora_eval_reports.answer.one_run import one_run
from sora_eval_reports.answer.statement import Answer
from sora_eval_reports.answer.two_runs import two_runs
from sora_eval_reports.answer.verdict import of_gate
from tests.runs import PROMPTS, drawn_run, make_data, make_run, values

HIGHER = {"clip_score": 10.0, "physics_laws.support": 0.9, "object_facts.count": 0.8}


def side(checkpoint: str, **shifts: float) -> RunData:
    """A run of three metrics, higher is better, each shifted by so many standard deviations; the noise is common."""
    scores = {
        m: mean + 0.1 * mean * (values(i, 0.0, 1.0) * 0.2 + shifts.get(m.partition(".")[0], 0.0))
        for i, (m, mean) in enumerate(HIGHER.items())
    }
    rng = np.random.default_rng([len(checkpoint), *checkpoint.encode()])
    scores = {m: v + 0.002 * HIGHER[m] * rng.standard_normal(len(v)) for m, v in scores.items()}
    generator = {"spec": "made", "name": "made", "checkpoint": checkpoint, "fingerprint": checkpoint}
    return make_data(scores, PROMPTS, higher=True, generator=generator)


@dataclass(frozen=True)
class Case:
    """An answer with what it is of."""

    answer: Answer
    comparison: Comparison | None = None
    verdict: GateResult | None = None
    rungs: list[CheckpointOrder] | None = None
    rows: list[MetricRow] | None = None
    scale: Scale | None = None
    run: RunFolder | None = None


def pair(base: RunData, new: RunData, limits: dict[str, Gate] | None = None) -> Case:
    comparison = compare(base, new)
    verdict = gate(new, base, limits) if limits else None
    return Case(two_runs(comparison, verdict), comparison, verdict)


def rungs(*runs: RunData) -> Case:
    order = checkpoint_order(list(runs))
    return Case(ladder(order, names_of(list(runs))), rungs=order)


def alone(root: Path, scale: bool, **head: Any) -> Case:
    run = drawn_run(root, "run", clips=False)
    run.update_head(**head)
    rows = [r for r in run.rows(MetricRow) if r.slice == "all"]
    known = Scale("made", 12, {r.metric: made_scale(r) for r in rows}) if scale else None
    return Case(one_run(run.head, run.rows(MetricRow), known), rows=rows, scale=known)


def made_scale(row: MetricRow) -> MetricScale:
    """Noise is at 20 or 2, what is better than black; perfect clips at 2 or 20."""
    low = row.higher_is_better is False
    marks = {"black": 25.0, "noise": 20.0, "perfect": 2.0} if low else {"black": 1.0, "noise": 2.0, "perfect": 14.0}
    if row.metric.endswith("continuity"):
        marks["perfect"] = 30.0
    return MetricScale(row.signature, row.higher_is_better, {name: Mark(v, 12) for name, v in marks.items()})


def judged(root: Path, base: float, new: float, spread: float = 0.05) -> Case:
    """A gate on two runs on disk of means `base` and `new`."""
    limit = {"clip_score": Gate(max_decrease=5.0)}
    runs = [
        make_run(root / name, {"clip_score": values(i, mean, spread)}, gates=limit)
        for i, (name, mean) in enumerate((("base", base), ("new", new)))
    ]
    verdict = gate(runs[1], runs[0], limit)
    return Case(of_gate(verdict, runs[1]), verdict=verdict, run=runs[1])


LIMITS = {m: Gate(max_decrease=5.0) for m in HIGHER}
CASES: dict[str, Callable[[Path], Case]] = {
    "one run on its scale": lambda root: alone(root, True),
    "one run without a scale, in part": lambda root: alone(root, False, partial=True, limit=6, failed_cases=1, cases=12),
    "better": lambda root: pair(side("early"), side("late", clip_score=1.0, object_facts=0.5)),
    "worse": lambda root: pair(side("early"), side("late", clip_score=-1.0, object_facts=0.5)),
    "cannot tell": lambda root: pair(side("early"), side("late")),
    "not worse": lambda root: pair(side("early"), side("late", clip_score=0.1), LIMITS),
    "still improving": lambda root: rungs(side("a"), side("b", clip_score=1.0), side("c", clip_score=2.0, object_facts=-0.01)),
    "stopped": lambda root: rungs(side("a"), side("b", clip_score=1.0), side("c", clip_score=1.0), side("d", clip_score=1.0)),
    "regressed": lambda root: judged(root, 10.0, 8.0),
    "undecided": lambda root: judged(root, 10.0, 9.5, 1.0),
}
