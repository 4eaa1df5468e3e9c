"""The noise of a gate when nothing changed, and the limits that it passes in a share of such pairs of runs. Pure.

A pair is a virtual baseline of K seeds a prompt and a virtual run of k others, drawn from repeats of one checkpoint, and is
compared as a gate compares it: a limit is passed where the one-sided bound of the change lies inside it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sora_eval.compare.difference import difference
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData
from sora_eval.gate.judge import allowed_change, within
from sora_eval.stats.intervals import Array
from sora_eval.stats.joint_quantile import joint_quantile
from sora_eval.stats.power import ALPHA, detectable
from sora_eval.studies.error_rates import by_seed, check_pool, draw, gated_only
from sora_eval.suite import Gate, Suite
from sora_eval.suite.tables import Repeats
from sora_eval.util.errors import SuiteError

PASSING = 0.9  # share of pairs that the whole gate passes
SEEDS = (4, 2)  # of a baseline and of a run, per prompt
DRAWS = 500  # the share that passes is then known to +- 1.3 %


@dataclass(frozen=True)
class Spread:
    """One metric over repeats of a checkpoint: its `values` in the runs, and its change in every drawn pair (`pairs`)."""

    metric: str
    values: tuple[float, ...]
    pairs: tuple[Difference, ...]

    @property
    def mean(self) -> float:
        """Mean of the repeats."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the repeats."""
        return float(np.std(self.values, ddof=1))

    @property
    def error(self) -> float:
        """Median standard error of a change, in `unit`."""
        return float(np.median([d.error or 0.0 for d in self.pairs]))

    @property
    def unit(self) -> str:
        return self.pairs[0].unit

    @property
    def relative(self) -> bool:
        """Whether a percentage has a meaning: no value of 0 or less."""
        return min(*self.values, *(d.base or 0.0 for d in self.pairs)) > 0

    def record(self, cases: int) -> Repeats:
        """The record of these repeats of `cases` cases in the suite's gate, to four significant digits."""
        mean, sd = (float(f"{v:.4g}") for v in (self.mean, self.deviation))
        return Repeats(runs=len(self.values), cases=cases, mean=mean, sd=sd)

    def bounds(self) -> tuple[Array, Array]:
        """The bounds of an increase and of a decrease in every pair, (pairs,) each, in `unit`."""
        ends = [(d.bounds.high or 0.0, -(d.bounds.low or 0.0)) for d in self.pairs]
        up, down = np.array(ends, np.float64).T
        return up, down

    def scale(self) -> Array:
        """What a bound is divided by to be a limit: a hundredth of the baseline's value, or 1 without percentages, (pairs,)."""
        return np.array([(d.base or 0.0) / 100 if self.relative else 1.0 for d in self.pairs])


@dataclass(frozen=True)
class Calibration:
    """The limits that follow from `repeats` runs of `cases` cases of one checkpoint on one suite.

    `spreads` and the proposed `gates` are by metric; `unmeasured` says of every other metric that was asked for why it has no
    limit. `seeds` are those of baseline and run. `source` is the provenance of the limits: command, date and checkpoint; the
    gates `kept` have their own.
    """

    suite: Suite
    label: str
    repeats: int
    cases: int
    seeds: tuple[int, int]
    spreads: Mapping[str, Spread]
    gates: Mapping[str, Gate]
    unmeasured: Mapping[str, str]
    source: str
    kept: tuple[str, ...] = ()

    @property
    def limits(self) -> dict[str, Gate]:
        """The proposed gates with their provenance, as written into the suite file."""
        return {
            m: gate.model_copy(
                update={
                    "provenance": gate.provenance if m in self.kept else self.source,
                    "repeats": self.spreads[m].record(self.cases),
                }
            )
            for m, gate in self.gates.items()
        }

    @property
    def passing(self) -> float:
        """Share of the pairs that pass every proposed gate, 0 to 1."""
        return float(np.all([passes(self.spreads[m], gate) for m, gate in self.gates.items()], 0).mean())


def check_repeats(repeats: Sequence[RunData]) -> None:
    """Raises SuiteError unless these are whole runs of one checkpoint under different seeds, of `run` and not stopped early."""
    if len({s.head.seed_offset for s in repeats}) < len(repeats):
        raise SuiteError("repeats must differ in their seeds: two of these have the same seed_offset in run.json")
    if len({s.head.generator.fingerprint for s in repeats}) > 1:
        raise SuiteError("repeats must be of one checkpoint: these have different generator fingerprints")
    for side in repeats:
        if why := side.head.not_whole or side.incomplete():
            raise SuiteError(f"{side.path} is not a repeat: {why}")


def drawn(
    repeats: Sequence[RunData], slices: Mapping[str, str], seeds: tuple[int, int] = SEEDS, draws: int = DRAWS
) -> Iterator[dict[str, Difference]]:
    """The change of every metric, on its slice, in each of `draws` pairs of virtual runs; draw i depends on i alone.

    Raises SuiteError for equal seeds, different checkpoints, incomplete runs, unlike cases and too few seeds.
    """
    check_repeats(repeats)
    pool = [gated_only(part, slices) for part in by_seed(repeats)]
    check_pool(pool, None, seeds)
    return (_pair(pool, slices, seeds, i) for i in range(draws))


def _pair(pool: Sequence[RunData], slices: Mapping[str, str], seeds: tuple[int, int], i: int) -> dict[str, Difference]:
    base, new = draw(pool, None, np.random.default_rng([0, i]), seeds)
    # Only bounds are used here, so the permutations are few.
    return {m: difference(base, new, m, label, permutations=99, set_permutations=1) for m, label in slices.items()}


def spreads(
    repeats: Sequence[RunData], slices: Mapping[str, str], pairs: Iterable[Mapping[str, Difference]]
) -> tuple[dict[str, Spread], dict[str, str]]:
    """The spread of every metric of `slices`, and why others have none: a pair without bounds, or with failed cases."""
    changes = list(pairs)
    out, problems = dict[str, Spread](), dict[str, str]()
    for metric, label in slices.items():
        of_metric = tuple(pair[metric] for pair in changes)
        values = [_value(data, metric, label) for data in repeats]
        if why := next(filter(None, map(_why_none, of_metric)), ""):
            problems[metric] = why
        elif any(v is None for v in values):
            problems[metric] = f"a repeat has no value of slice {label}"
        else:
            out[metric] = Spread(metric, tuple(v for v in values if v is not None), of_metric)
    return out, problems


def _why_none(d: Difference) -> str:
    if d.status is not None:
        return d.reason
    if d.unpaired.failed or d.unpaired.missing:
        return d.unpaired.words()
    return d.bounds.method.removeprefix("none: ") if d.bounds.low is None or d.bounds.high is None else ""


def _value(data: RunData, metric: str, label: str) -> float | None:
    row = data.metrics.get((metric, label))
    return None if row is None else row.value


def propose(
    spreads: Mapping[str, Spread], present: Mapping[str, Gate], share: float = PASSING, keep: Collection[str] = ()
) -> dict[str, Gate]:
    """The gates, to two significant digits upwards, that at least a `share` (0 to 1) of the pairs pass whole.

    All limits lie at one quantile of their bounds, the smallest at which that share of pairs passes every row: no row is
    tighter, for its noise, than another. Limits are in the worse direction, or in those that a `present` gate bounds; one on
    what is suspiciously good stays as it is, unless noise reaches it. `min_change` is the same quantile of the changes
    themselves. A metric with a value of 0 or less has no percentage: there the limit is 0 % and `min_change` the quantile of
    the bounds. The present gates of the metrics in `keep` stay as they are, and the others make up for what these do not pass.
    Raises SuiteError for nothing to propose, and if the kept ones alone pass in less than the share.
    """
    if not spreads:
        return {}
    kept = {m: present[m] for m in keep}
    pairs = len(next(iter(spreads.values())).pairs)
    among = np.array([passes(spreads[m], gate) for m, gate in kept.items()], bool).reshape(-1, pairs).all(0)
    directions = {m: _directions(s, present.get(m)) for m, s in spreads.items() if m not in kept}
    ends = {(m, up): spreads[m].bounds()[0 if up else 1] / spreads[m].scale() for m, ways in directions.items() for up in ways}
    guards = {(m, up): guard for m, up in ends if (guard := _guard(spreads[m], present.get(m), ends[m, up], up=up)) is not None}
    judging = [values for end, values in ends.items() if end not in guards]
    if not judging:
        raise SuiteError("nothing is left to calibrate: every limit is kept")
    try:
        _, level = joint_quantile(np.stack(judging, 1), share, among)
    except ValueError:
        raise SuiteError(f"the gates that are kept ({', '.join(kept)}) pass in {among.mean():.1%} of the pairs alone") from None
    bounds = {end: float(np.quantile(values, level, method="inverted_cdf")) for end, values in ends.items()} | guards
    out = {}
    for metric, spread in spreads.items():
        out[metric] = kept[metric] if metric in kept else _gate(metric, spread, directions[metric], bounds, level, present)
    return out


def _gate(
    metric: str,
    spread: Spread,
    directions: Sequence[bool],
    bounds: Mapping[tuple[str, bool], float],
    level: float,
    present: Mapping[str, Gate],
) -> Gate:
    """The gate of a metric from the quantiles of its bounds, by metric and direction."""
    limits = {up: bounds[metric, up] for up in directions}
    if spread.relative:
        limit = {up: round_up(value) for up, value in limits.items()}
        least = float(np.quantile(np.abs([d.change or 0.0 for d in spread.pairs]), level, method="inverted_cdf"))
    else:
        limit, least = dict.fromkeys(limits, 0.0), max(limits.values())
    decrease = limit.get(False)
    same = {"window", "slice", "profile", "tags", "reason", "provenance", "repeats"}
    return Gate(
        max_increase=limit.get(True),
        max_decrease=None if decrease is None else min(decrease, 100.0),
        min_change=round_up(least),
        **(present[metric].model_dump(include=same) if metric in present else {}),
    )


def _directions(spread: Spread, present: Gate | None) -> list[bool]:
    """The directions that a gate bounds, True for an increase."""
    ways = [] if present is None else [(True, present.max_increase), (False, present.max_decrease)]
    bounded = [up for up, limit in ways if limit is not None]
    higher = spread.pairs[0].higher_is_better
    return bounded or [up for up in (True, False) if higher is not up]


def _guard(spread: Spread, present: Gate | None, bounds: Array, *, up: bool) -> float | None:
    """The present limit, in per cent, of a change for the better: judgement, which no noise gives. None of another direction,
    and where the bounds of pairs reach it."""
    if present is None or not spread.relative or spread.pairs[0].higher_is_better is not up:
        return None
    limit = present.max_increase if up else present.max_decrease
    return limit if limit is not None and limit >= bounds.max() else None


def passes(spread: Spread, gate: Gate) -> list[bool]:
    """Whether each pair of repeats is inside the limits of a gate, as `gate.judge` reads them."""
    out = []
    for d, high, low in zip(spread.pairs, *spread.bounds(), strict=True):
        base, scale = d.base or 0.0, max(abs(d.base or 0.0), abs(d.new or 0.0))
        up, down = (allowed_change(limit, gate.min_change, base) for limit in (gate.max_increase, gate.max_decrease))
        out.append(within(high, up, scale) and within(low, down, scale))
    return out


def smallest_seen(spread: Spread, gate: Gate, tests: int) -> float:
    """The smallest change, in the metric's unit, that a gate of `tests` tests calls REGRESSED with 80 % power."""
    limits = [v for v in (gate.max_increase, gate.max_decrease) if v is not None]
    return detectable(
        spread.error, allowed_change(min(limits, default=0.0), gate.min_change, spread.mean), ALPHA / max(tests, 1)
    )


def round_up(value: float) -> float:
    """A value rounded up to two significant digits; 0 for negative values.

    >>> round_up(0.01234), round_up(251.0), round_up(12.0)
    (0.013, 260.0, 12.0)
    """
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.12g}")
