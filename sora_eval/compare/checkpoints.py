"""Whether every metric orders checkpoints of which each should be better than the one before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from sora_eval.compare.comparison import better
from sora_eval.compare.difference import Difference, difference
from sora_eval.compare.run_data import Side
from sora_eval.records.speed_metrics import is_speed
from sora_eval.stats.power import detectable
from sora_eval.util.errors import RunError


class Order(StrEnum):
    """What a step, or a whole ladder, shows."""

    HOLDS = "holds"  # better beyond noise; of a ladder, at every step
    NOISE = "within noise"  # no step is reversed, but not all are told apart
    REVERSED = "reversed"  # worse beyond noise, at one step at least
    UNKNOWN = "no test"  # nothing could be compared at one step at least
    NEITHER = "no better end"  # the metric does not say which is better


@dataclass(frozen=True)
class Step:
    """From one run to the next: the paired difference, and what it shows."""

    base: str
    new: str
    change: Difference
    order: Order

    @property
    def least(self) -> float | None:
        """The smallest true change that this pair of runs shows with 80 % power; None without an error."""
        return None if self.change.error is None else detectable(self.change.error, 0.0)


@dataclass(frozen=True)
class Rungs:
    """One metric over the ladder: its value on every run, the steps, and the first against the last."""

    metric: str
    unit: str
    higher_is_better: bool | None
    values: tuple[float | None, ...]
    steps: tuple[Step, ...]
    whole: Step

    @property
    def order(self) -> Order:
        """The worst that a step shows."""
        found = {s.order for s in self.steps}
        worst_first = (Order.NEITHER, Order.REVERSED, Order.UNKNOWN, Order.NOISE)
        return next((o for o in worst_first if o in found), Order.HOLDS)


def names_of(sides: Sequence[Side]) -> list[str]:
    """How the runs are called: by checkpoint where that tells them apart, else by generator too, numbered where equal."""
    checkpoints = [str(s.head["generator"]["checkpoint"] or "") for s in sides]
    one = len({s.head["generator"]["name"] for s in sides}) == 1
    if one and all(checkpoints) and len(set(checkpoints)) == len(sides):
        return checkpoints
    labels = [s.label for s in sides]
    return [f"{n} #{labels[: i + 1].count(n)}" if labels.count(n) > 1 else n for i, n in enumerate(labels)]


def ladder(sides: Sequence[Side]) -> list[Rungs]:
    """Every metric on runs from the worst to the best expected one, steps tested one by one; speed is left out.

    Raises RunError for fewer than two runs.
    """
    if len(sides) < 2:
        raise RunError(f"a ladder has steps: found {len(sides)} run, expected two or more, the least trained first")
    metrics = dict.fromkeys(m for side in sides for m, label in side.metrics if label == "all" and not is_speed(m))
    return [_rungs(m, list(zip(names_of(sides), sides, strict=True))) for m in metrics]


def _rungs(metric: str, runs: list[tuple[str, Side]]) -> Rungs:
    sides = [side for _, side in runs]
    steps = tuple(_step(a, b, metric) for a, b in pairwise(runs))
    known = [side.metrics.get((metric, "all"), {}) for side in sides]
    whole = steps[0] if len(steps) == 1 else _step(runs[0], runs[-1], metric)
    higher = next((r["higher_is_better"] for r in known if r), None)
    unit = next((str(r["unit"]) for r in known if r), "")
    return Rungs(metric, unit, higher, tuple(r.get("value") for r in known), steps, whole)


def _step(base: tuple[str, Side], new: tuple[str, Side], metric: str) -> Step:
    found = difference(base[1], new[1], metric)
    if found.status is not None or found.change is None or found.interval.low is None:
        order = Order.UNKNOWN
    elif found.higher_is_better is None:
        order = Order.NEITHER
    else:
        order = {"new": Order.HOLDS, "base": Order.REVERSED}.get(better(found) or "", Order.NOISE)
    return Step(base[0], new[0], found, order)
