"""Whether each metric orders a ladder of checkpoints, each of which should be better than the one before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from sora_eval.compare.comparison import better
from sora_eval.compare.difference import difference
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData, numbered
from sora_eval.records.speed_metrics import is_speed
from sora_eval.stats.power import detectable
from sora_eval.util.errors import RunError


class Order(StrEnum):
    """Result of a step or of a whole ladder."""

    HOLDS = "holds"  # better beyond noise; of a ladder, at every step
    NOISE = "within noise"  # no step is reversed, but at least one is within noise
    REVERSED = "reversed"  # worse beyond noise, at one step at least
    UNKNOWN = "no test"  # nothing could be compared at one step at least
    NEITHER = "no better end"  # the metric does not say which is better


@dataclass(frozen=True)
class Step:
    """From one run to the next: their names, the paired difference and its result."""

    base: str
    new: str
    change: Difference
    order: Order

    @property
    def least(self) -> float | None:
        """The smallest true change that this pair detects with 80 % power, in the metric's unit; None without an error."""
        return None if self.change.error is None else detectable(self.change.error, 0.0)


@dataclass(frozen=True)
class CheckpointOrder:
    """One metric over the ladder: its value on every run, the steps, and every run but the last against the last one."""

    metric: str
    unit: str
    higher_is_better: bool | None
    values: tuple[float | None, ...]
    steps: tuple[Step, ...]
    to_last: tuple[Step, ...]

    @property
    def whole(self) -> Step:
        """The first run against the last."""
        return self.to_last[0]

    @property
    def family(self) -> str:
        """Family of the metric."""
        return self.whole.change.family

    @property
    def order(self) -> Order:
        """The worst result of a step."""
        orders = {s.order for s in self.steps}
        worst_first = (Order.NEITHER, Order.REVERSED, Order.UNKNOWN, Order.NOISE)
        return next((o for o in worst_first if o in orders), Order.HOLDS)


def names_of(runs: Sequence[RunData]) -> list[str]:
    """Names of the runs: checkpoints where these are unique, else generator and checkpoint, numbered where equal."""
    checkpoints = [s.head.generator.checkpoint for s in runs]
    same_generator = len({s.head.generator.name for s in runs}) == 1
    if same_generator and all(checkpoints) and len(set(checkpoints)) == len(runs):
        return checkpoints
    return numbered([s.label for s in runs])


def checkpoint_order(runs: Sequence[RunData]) -> list[CheckpointOrder]:
    """The order of every metric over `runs`, from the least to the most trained, each step tested by itself; no speed.

    Raises RunError for fewer than two runs, and for runs of `--until-decided` and `bench`.
    """
    if len(runs) < 2:
        raise RunError(f"a ladder has steps: found {len(runs)} run, expected two or more, the least trained first")
    for run in runs:
        if why := run.head.not_whole:
            raise RunError(f"{run.path} is no step of a ladder: {why}; run its suite whole")
    metrics = dict.fromkeys(m for run in runs for m, label in run.metrics if label == "all" and not is_speed(m))
    return [_order_of(m, list(zip(names_of(runs), runs, strict=True))) for m in metrics]


def _order_of(metric: str, runs: list[tuple[str, RunData]]) -> CheckpointOrder:
    data = [run for _, run in runs]
    steps = tuple(_step(a, b, metric) for a, b in pairwise(runs))
    rows = [run.metrics.get((metric, "all")) for run in data]
    to_last = (*(_step(run, runs[-1], metric) for run in runs[:-2]), steps[-1])
    higher = next((r.higher_is_better for r in rows if r), None)
    unit = next((r.unit for r in rows if r), "")
    return CheckpointOrder(metric, unit, higher, tuple(r.value if r else None for r in rows), steps, to_last)


def _step(base: tuple[str, RunData], new: tuple[str, RunData], metric: str) -> Step:
    change = difference(base[1], new[1], metric)
    if change.status is not None or change.change is None or change.interval.low is None:
        order = Order.UNKNOWN
    elif change.higher_is_better is None:
        order = Order.NEITHER
    else:
        order = {"new": Order.HOLDS, "base": Order.REVERSED}.get(better(change) or "", Order.NOISE)
    return Step(base[0], new[0], change, order)
