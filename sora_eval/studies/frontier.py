"""What faster generators cost in quality: the gain in speed of each against the share of its gate's limits that it uses up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sora_eval.compare.difference import difference
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.gate.gate_run import judged, limits_for
from sora_eval.gate.judge import allowed_change, gate
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import GateRow, Verdict
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.suite import Gate, Suite, gates_of
from sora_eval.util.errors import RunError


@dataclass(frozen=True)
class Point:
    """A generator against the baseline's.

    `gain` is the change for the better of the speed metric, in per cent of the baseline's value, between its one-sided 95 %
    bounds, of the shape that gains least. `used` is the largest share of a limit that the one-sided 95 % bound of a harmful
    change reaches, 1 at the limit, and `row` the row of the gate that it is of.
    """

    label: str
    verdict: Verdict
    gain: tuple[float, float, float]
    used: float
    row: str

    def beaten_by(self, other: Point) -> bool:
        """Whether another one is both faster and better, or as good in one of them."""
        ahead = (other.gain[1] - self.gain[1], self.used - other.used)
        return min(ahead) >= 0 and max(ahead) > 0


def frontier(
    baseline: RunData,
    runs: Sequence[RunFolder],
    benches: Sequence[RunFolder],
    metric: str = "latency",
    suite: Suite | None = None,
) -> list[Point]:
    """A point per run, fastest last, by the gates of its own suite, or of a `suite` file of the same fingerprint.

    `benches` hold the speed of the baseline's generator and of that of every run, from one interleaved session; runs and
    benches belong together where their fingerprints are equal. Raises RunError for a run without bench, a metric that is not
    timed, benches of several sessions, and a gate that could not judge.
    """
    if not is_speed(metric):
        raise RunError(f"{metric!r} is no metric of speed")
    timed = {bench.head.generator.fingerprint: data_of(bench) for bench in benches}

    def speed_of(data: RunData) -> RunData:
        found = timed.get(data.head.generator.fingerprint)
        if found is None:
            known = ", ".join(b.head.generator.spec for b in benches)
            raise RunError(f"no bench is of {data.head.generator.spec} ({data.path}); benches: {known or 'none'}")
        return found

    base = speed_of(baseline)
    shapes = [label for name, label in base.metrics if name == metric]
    if not shapes:
        raise RunError(f"{base.path} has no {metric}; time it with a suite that has [throughput]")
    points = []
    for run in runs:
        data, stored = data_of(run), stored_suite(run)
        if suite is None:
            gates, result = limits_for(stored, baseline)[0], judged(data, baseline, stored)
        else:
            gates = gates_of(suite, stored.fingerprint)
            result = gate(data, baseline, gates)
        used, row = _used(result.rows, gates, data.path)
        gain = min((_gain(base, speed_of(data), metric, shape) for shape in shapes), key=lambda g: g[0])
        points.append(Point(data.head.generator.spec, result.verdict, gain, used, row))
    return sorted(points, key=lambda p: p.gain[1])


def _gain(base: RunData, new: RunData, metric: str, shape: str) -> tuple[float, float, float]:
    if base is new:
        return 0.0, 0.0, 0.0
    d = difference(base, new, metric, shape)
    low, high = d.bounds.low, d.bounds.high
    if d.status is not None or d.change is None or not d.base or low is None or high is None:
        raise RunError(f"{metric} of {new.path} at {shape} cannot be compared: {d.reason or d.bounds.method}")
    ends = (low, d.change, high) if d.higher_is_better else (-high, -d.change, -low)
    least, middle, most = (100 * end / d.base for end in ends)
    return least, middle, most


def _used(rows: Sequence[GateRow], gates: Mapping[str, Gate], path: str) -> tuple[float, str]:
    """The largest share of a limit of quality that a bound reaches, and its row."""
    shares = {}
    for row in rows:
        spec = gates.get(row.metric)
        if spec is None or is_speed(row.metric) or row.window or row.base is None:
            continue
        if row.bound_low is None or row.bound_high is None:
            raise RunError(f"{path}: {row.name} has no bound: {row.reason}")
        own = spec if row.slice == spec.slice else spec.of_tag(row.slice)
        up, down = (allowed_change(limit, own.min_change, row.base) for limit in (own.max_increase, own.max_decrease))
        shares[row.name] = max(_share(row.bound_high, up), _share(-row.bound_low, down))
    if not shares:
        raise RunError(f"{path}: its gate has no row of quality with a number")
    worst = max(shares, key=lambda name: shares[name])
    return shares[worst], worst


def _share(bound: float, allowed: float) -> float:
    if bound <= 0 or math.isinf(allowed):
        return 0.0
    return bound / allowed if allowed > 0 else math.inf
