"""A metric over commits, training steps or time, from many runs: points, a baseline, and the noise band of repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

from sora_eval.gate import baseline as baselines
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import GateResult
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.stats.intervals import CONFIDENCE
from sora_eval.studies.sessions import noise_between, note_of
from sora_eval.util.errors import RunError

Axis = Literal["time", "steps", "commit"]


@dataclass(frozen=True)
class RunMetrics:
    """The metric rows of one run, and its run.json."""

    path: Path
    head: RunHead
    metrics: tuple[MetricRow, ...]

    def row(self, metric: str, label: str) -> MetricRow | None:
        """The last row of a metric on a slice; None without one."""
        return next((r for r in reversed(self.metrics) if (r.metric, r.slice) == (metric, label)), None)


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a metric over repeats of one checkpoint that differ in seeds only, in the metric's unit.

    `freedom` is its degrees of freedom; `source` says which repeats it comes from.
    """

    deviation: float
    freedom: int
    source: str

    @property
    def reach(self) -> float:
        """Bound on the difference of two repeats of one checkpoint in 95 % of the cases: t x deviation x sqrt(2).

        >>> round(Noise(1.0, 4, "5 repeats").reach, 3)  # 2.776 x 1 x 1.414
        3.926
        """
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom)) * self.deviation * math.sqrt(2)


@dataclass(frozen=True)
class Point:
    """One run on the axis: `x` is its label, `place` its position; `row` is None for a run without the metric."""

    run: str
    label: str
    x: str
    place: float
    row: MetricRow | None
    mark: str = ""  # side of the noise band, or why there is no value

    @property
    def value(self) -> float | None:
        """Value of the row; None without one."""
        return None if self.row is None else self.row.value


@dataclass(frozen=True)
class History:
    """The points of one metric, oldest or least trained first; `baseline` is the value that they are compared with."""

    metric: str
    axis: Axis
    points: tuple[Point, ...]
    baseline: float | None
    noise: Noise | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Histories:
    """The histories of one suite. `problems` names the runs that could not be read; `series` is what the newest run that was
    gated in a series found: its verdict, and a line for every metric that declines."""

    suite: str
    charts: tuple[History, ...]
    problems: tuple[str, ...] = ()
    series: tuple[str, ...] = ()


def histories(
    folder: Path,
    metrics: Sequence[str] = (),
    *,
    over: Axis | None = None,
    suite: str | None = None,
    baseline: Path | None = None,
    label: str = "all",
) -> Histories:
    """Metrics over the finished runs of one suite in `folder`.

    Defaults: `metrics` are those that the newest run's suite gates, else the first of each family; `over` is training steps if
    all runs have them and they differ, else time; `suite` is the newest run's. The baseline is a file or a run, else the
    first point. Raises RunError if there is nothing to show or a verdicts.json is damaged, and BaselineError for an invalid
    baseline file.
    """
    runs, problems = read_runs(folder)
    if not runs:
        raise RunError(f"{folder} holds no runs that can be read; see 'sora-eval list runs --root {folder}'")
    suite_id = suite or max(runs, key=lambda r: r.head.started).head.suite.id
    finished = [r for r in runs if r.head.suite.id == suite_id and r.metrics]
    if not finished:
        raise RunError(f"{folder} holds no finished runs of suite {suite_id!r}")
    steps = {r.head.generator.training_steps for r in finished}
    axis = over or ("steps" if None not in steps and len(steps) > 1 else "time")
    charts = tuple(history(finished, m, axis, baseline, label) for m in metrics or default_metrics(finished))
    return Histories(suite_id, charts, tuple(problems), _series(finished))


def _series(runs: Sequence[RunMetrics]) -> tuple[str, ...]:
    for run in sorted(runs, key=lambda r: r.head.started, reverse=True):
        result = GateResult.read(run.path)
        if result is not None and result.series:
            alarms = [f"{row.name}: {row.verdict}: {row.reason}" for row in result.rows if row.series]
            return (f"{run.path.name}: {result.headline}", *alarms)
    return ()


def read_runs(folder: Path) -> tuple[list[RunMetrics], list[str]]:
    """The runs in a folder, oldest first, and a line for each that could not be read."""
    runs, problems = [], []
    for run in find_runs(folder):
        try:
            runs.append(RunMetrics(run.path, run.head, tuple(run.rows(MetricRow))))
        except RunError as error:
            problems.append(f"left out: {error}")
    return runs, problems


def default_metrics(runs: Sequence[RunMetrics]) -> list[str]:
    """The gated metrics of the newest run's suite that some run has, else the first metric of each family."""
    rows = [row for run in runs for row in run.metrics]
    names = {row.metric for row in rows}
    gated = [m for m in stored_suite(RunFolder(runs[-1].path)).gates if m in names]
    first = {row.family: row.metric for row in reversed(rows) if row.slice == "all"}
    return gated or list(dict.fromkeys(first[row.family] for row in rows if row.slice == "all"))


def history(runs: Sequence[RunMetrics], metric: str, axis: Axis, baseline: Path | None = None, label: str = "all") -> History:
    """The history of one metric on one slice. Runs without a value stay as points; different protocols give a note.

    Raises RunError for a metric that no run has, for an axis of steps without any, and for a baseline without the metric.
    """
    if all(run.row(metric, label) is None for run in runs):
        names = ", ".join(dict.fromkeys(row.metric for run in runs for row in run.metrics)) or "none"
        raise RunError(f"no run has {metric!r} of slice {label!r}; metrics of these runs: {names}")
    points = _points(runs, metric, axis, label)
    notes = [f"{len(runs) - len(points)} runs without steps are left out"] if len(points) < len(runs) else []
    protocols = {p.row.signature for p in points if p.row is not None}
    if len(protocols) > 1:
        notes.append(f"{metric} has {len(protocols)} protocols in these runs; values under different ones are not comparable")
    values = [p.value for p in points if p.value is not None]
    base = _baseline(runs, metric, label, baseline) if baseline else next(iter(values), None)
    band = noise(runs, metric, label)
    if band is None:
        notes.append(
            "no noise band: no repeats of one checkpoint under other seeds ('sora-eval calibrate'), no repeats in [gates]"
        )
    if is_speed(metric) and (between := noise_between(((r.head, RunFolder(r.path).rows(TimingRow)) for r in runs), metric)):
        notes.append(note_of(between))
    points = [replace(p, mark=_mark(p.row, base, band)) for p in points]
    return History(metric, axis, tuple(points), base, band, tuple(notes))


def _points(runs: Sequence[RunMetrics], metric: str, axis: Axis, label: str) -> list[Point]:
    """The runs in the order of the axis; on the axis of steps only runs with training steps."""
    points = []
    places: dict[str, float] = {}
    if axis == "steps":
        stepped = [(r.head.generator.training_steps, r) for r in runs]
        ordered = [r for s, r in sorted(((s, r) for s, r in stepped if s is not None), key=lambda pair: pair[0])]
        if not ordered:
            raise RunError("no run says after how many training steps its checkpoint was taken; use --over time or commit")
    else:
        ordered = sorted(runs, key=lambda r: r.head.started)
    for i, run in enumerate(ordered):
        head = run.head
        if axis == "steps":
            x, place = str(head.generator.training_steps), float(head.generator.training_steps or 0)
        elif axis == "commit":
            x = (head.git.commit or "-")[:7]
            place = places.setdefault(x, float(len(places)))
        else:
            x, place = head.started[:16], float(i)
        points.append(Point(run.path.name, head.generator.label, x, place, run.row(metric, label)))
    return points


def noise(runs: Sequence[RunMetrics], metric: str, label: str = "all") -> Noise | None:
    """Noise of repeats of one checkpoint among the runs, pooled over checkpoints; else of the repeats that a gate records.

    Repeats of quality differ in `seed_offset`, since equal seeds show no noise; repeats of speed are runs on one machine.
    None without repeats.
    """
    groups: dict[tuple[str, str, str], dict[int, float]] = {}
    for i, run in enumerate(runs):
        head, row = run.head, run.row(metric, label)
        if row is None or row.value is None:
            continue
        speed = row.family == "speed"
        key = (head.suite.fingerprint, head.generator.fingerprint, str(head.hardware) if speed else "")
        groups.setdefault(key, {})[i if speed else head.seed_offset] = row.value
    repeated = [np.array(list(g.values()), np.float64) for g in groups.values() if len(g) > 1]
    if repeated:
        freedom = sum(len(v) - 1 for v in repeated)
        pooled = math.sqrt(sum(float(((v - v.mean()) ** 2).sum()) for v in repeated) / freedom)
        source = f"{sum(map(len, repeated))} repeats of {len(repeated)} checkpoints among these runs"
        if why := next(filter(None, (run.head.generator.not_covered for run in runs)), ""):
            source += f", by fingerprints that do not cover {why}"
        return Noise(pooled, freedom, source)
    for run in reversed(runs):
        gate = stored_suite(RunFolder(run.path)).gates.get(metric)
        if gate is not None and gate.repeats is not None and gate.slice == label:
            return Noise(gate.repeats.sd, gate.repeats.runs - 1, f"the suite's [gates.{metric}].repeats")
    return None


def _baseline(runs: Sequence[RunMetrics], metric: str, label: str, baseline: Path) -> float:
    row = next((r.row(metric, label) for r in runs if r.path.name == baseline.name), None)
    if row is None:
        data = baselines.find(baseline)
        row = None if data is None else data.metrics.get((metric, label))
    if row is None or row.value is None:
        raise RunError(f"the baseline {baseline} has no value of {metric} ({label})")
    return row.value


def _mark(row: MetricRow | None, baseline: float | None, band: Noise | None) -> str:
    """The side of the noise band on which a value lies, as text; without a value, the reason."""
    if row is None or row.value is None:
        return "not in this run" if row is None else row.status
    if baseline is None or band is None:
        return ""
    change = row.value - baseline
    if abs(change) <= band.reach:
        return "within noise"
    if row.higher_is_better is None:
        return "outside"
    return "better" if (change > 0) == row.higher_is_better else "worse"
