"""The spread of repeats of one checkpoint, and the limits that follow from it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from sora_eval.compare.difference import Difference, difference
from sora_eval.compare.run_data import RunData
from sora_eval.gate.judge import allowed_change, within
from sora_eval.records.speed_metrics import is_speed
from sora_eval.stats.power import ALPHA, detectable
from sora_eval.suite import Gate, Suite
from sora_eval.suite.tables import Repeats
from sora_eval.util.errors import SuiteError

PASSING = 0.95  # share of pairs of repeats whose intervals lie inside a proposed limit


@dataclass(frozen=True)
class Spread:
    """One metric over K repeats of a checkpoint that differ in seeds only.

    `increase_percent` and `decrease_percent` are the ends of the intervals of the change between two repeats that most (95 %)
    of the ordered pairs stay within, in per cent of the first; `reach` is the same in `unit`, in either direction.
    `max_change` is the largest change between two repeats and `error` the median standard error of a change, in `unit`.
    """

    metric: str
    values: tuple[float, ...]
    increase_percent: float
    decrease_percent: float
    reach: float
    max_change: float
    error: float
    cases: int
    unit: str
    higher_is_better: bool | None
    pairs: tuple[Difference, ...] = ()

    @property
    def mean(self) -> float:
        """Mean of the repeats."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the repeats."""
        return float(np.std(self.values, ddof=1))

    def record(self) -> Repeats:
        """The record of these repeats in the suite's gate, to four significant digits."""
        mean, sd = (float(f"{v:.4g}") for v in (self.mean, self.deviation))
        return Repeats(runs=len(self.values), cases=self.cases, mean=mean, sd=sd)


@dataclass(frozen=True)
class Calibration:
    """The limits that follow from repeats of one checkpoint on one suite.

    `spreads` and the proposed `gates` are by metric, of all metrics with a spread; `gated` are the metrics that the suite
    gates or is to gate. `source` is the provenance of the limits: command, date and checkpoint.
    """

    suite: Suite
    label: str
    repeats: int
    spreads: Mapping[str, Spread]
    gates: Mapping[str, Gate]
    gated: tuple[str, ...]
    source: str

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Gated metrics without a spread over all cases: their limits stay unchanged."""
        return tuple(m for m in self.gated if m not in self.spreads)

    @property
    def limits(self) -> dict[str, Gate]:
        """The proposed gates of the gated metrics with their provenance, as written into the suite file."""
        return {
            m: self.gates[m].model_copy(update={"provenance": self.source, "repeats": self.spreads[m].record()})
            for m in self.gated
            if m in self.spreads
        }


def spreads(repeats: Sequence[RunData], share: float = PASSING) -> list[Spread]:
    """The spread of every metric that all repeats have, except speed; a `share` of the ordered pairs passes its limits.

    Raises SuiteError for fewer than two repeats, equal seeds, different checkpoints and incomplete runs.
    """
    if len(repeats) < 2:
        raise SuiteError(f"{len(repeats)} repeat has no spread: at least 2 are needed, 5 are better")
    if len({s.head.seed_offset for s in repeats}) < len(repeats):
        raise SuiteError("repeats must differ in their seeds: two of these have the same seed_offset in run.json")
    if len({s.head.generator.fingerprint for s in repeats}) > 1:
        raise SuiteError("repeats must be of one checkpoint: these have different generator fingerprints")
    for side in repeats:
        if why := side.incomplete():
            raise SuiteError(f"{side.path} is not a repeat: {why}")
    metrics = [m for m, label in repeats[0].metrics if label == "all" and not is_speed(m)]
    out = []
    for metric in metrics:
        # Only intervals are used here, so the permutations are few.
        pairs = [
            difference(a, b, metric, permutations=99, set_permutations=1, other_seeds=True) for a, b in permutations(repeats, 2)
        ]
        if spread := _spread(metric, [_value(s, metric) for s in repeats], pairs, share):
            out.append(spread)
    return out


def _value(data: RunData, metric: str) -> float | None:
    row = data.metrics.get((metric, "all"))
    return None if row is None else row.value


def _spread(metric: str, values: Sequence[float | None], pairs: Sequence[Difference], share: float) -> Spread | None:
    whole = [d for d in pairs if d.status is None and d.error is not None and d.interval.low is not None]
    if len(whole) < len(pairs) or any(v is None for v in values):
        return None
    lows = np.array([d.interval.low for d in whole], np.float64)
    highs = np.array([d.interval.high for d in whole], np.float64)
    bases = np.array([abs(d.base or 0.0) for d in whole])
    with np.errstate(divide="ignore", invalid="ignore"):
        up, down = (np.where(bases > 0, 100 * end / bases, np.inf) for end in (highs, -lows))

    def most(ends: Any) -> float:
        return float(np.quantile(ends, share, method="higher"))

    return Spread(
        metric,
        tuple(float(v) for v in values if v is not None),
        most(up),
        most(down),
        most(np.maximum(highs, -lows)),
        float(max(abs(d.change or 0.0) for d in whole)),
        float(np.median([d.error or 0.0 for d in whole])),
        whole[0].n,
        whole[0].unit,
        whole[0].higher_is_better,
        tuple(whole),
    )


def propose(spread: Spread, present: Gate | None = None) -> Gate:
    """The tightest gate that repeats of one checkpoint pass in most (95 %) of the pairs, to two significant digits upwards.

    The limit is in the worse direction, or in those that a `present` gate bounds; `min_change` is the largest change between
    two repeats. A metric with a value of 0 or less has no percentage: there the limit is 0 % and `min_change` the reach of
    the intervals.
    """
    relative = min(spread.values) > 0 and math.isfinite(spread.increase_percent + spread.decrease_percent)
    up, down = (
        present is not None and present.max_increase is not None,
        present is not None and present.max_decrease is not None,
    )
    if not up and not down:
        up, down = spread.higher_is_better is not True, spread.higher_is_better is not False
    return Gate(
        max_increase=(_round_up(spread.increase_percent) if relative else 0.0) if up else None,
        max_decrease=(min(_round_up(spread.decrease_percent), 100.0) if relative else 0.0) if down else None,
        min_change=_round_up(spread.max_change if relative else spread.reach),
        **(
            {}
            if present is None
            else present.model_dump(include={"window", "slice", "profile", "reason", "provenance", "repeats"})
        ),
    )


def passing(spread: Spread, gate: Gate) -> int:
    """Number of ordered pairs of repeats that PASS a gate."""
    count = 0
    for d in spread.pairs:
        base, low, high = d.base or 0.0, d.interval.low or 0.0, d.interval.high or 0.0
        up, down = (allowed_change(limit, gate.min_change, base) for limit in (gate.max_increase, gate.max_decrease))
        count += within(high, up, abs(base)) and within(-low, down, abs(base))
    return count


def smallest_seen(spread: Spread, gate: Gate, tests: int) -> float:
    """The smallest change, in the metric's unit, that a gate of `tests` tests calls REGRESSED with 80 % power."""
    limits = [v for v in (gate.max_increase, gate.max_decrease) if v is not None]
    return detectable(
        spread.error, allowed_change(min(limits, default=0.0), gate.min_change, spread.mean), ALPHA / max(tests, 1)
    )


def _round_up(value: float) -> float:
    """A value rounded up to two significant digits; 0 for negative values.

    >>> _round_up(0.01234), _round_up(251.0), _round_up(12.0)
    (0.013, 260.0, 12.0)
    """
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.12g}")
