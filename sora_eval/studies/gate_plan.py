"""A plan of a suite's gate, from runs: its model, the designs compared, and the cheapest. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sora_eval.compare.cases import place_of
from sora_eval.compare.run_data import RunData
from sora_eval.gate.judge import allowed_change
from sora_eval.records.speed_metrics import is_speed
from sora_eval.stats.components import components, seed_correlation, seed_kurtosis
from sora_eval.stats.intervals import Array
from sora_eval.studies.calibration import check_repeats, round_up
from sora_eval.studies.error_rates import by_seed
from sora_eval.studies.planning import Chances, Design, GateModel, Goal, PlannedRow, Remedy, cheapest, remedies
from sora_eval.studies.prompt_tables import prompt_table
from sora_eval.suite import Gate, Suite
from sora_eval.util.errors import SuiteError

PROMPTS = (16, 32, 64, 128)
PAIRS = ((1, 1), (2, 1), (4, 1), (4, 2), (8, 2), (8, 4))  # seeds of baseline and run
FACTORS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)  # multiples of all limits
SEARCHED = (12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # prompts of the designs that the cheapest is chosen from
NUMBERS = (1, 2, 4, 8)  # seeds of these designs, on either side


@dataclass(frozen=True)
class Choice:
    """A design that meets the goal, and the gates whose limits have to be wider for it."""

    design: Design
    gates: dict[str, Gate]


@dataclass(frozen=True)
class Plan:
    """What the gate of a suite does and could do.

    `present` are the chances at the suite's design, `grid` those at PROMPTS x PAIRS and its own, `by_limits` those at its own
    with all limits multiplied. `as_is` is the cheapest design with the suite's limits, `wider` the cheapest with limits as wide
    as they must be; None where none meets the goal. `unplanned` are gates outside the model, and why. No design has more than
    `most` prompts. `against` is the label of the second checkpoint, or ''.
    """

    suite: Suite
    label: str
    repeats: int
    against: str
    goal: Goal
    model: GateModel
    present: Chances
    grid: tuple[Chances, ...]
    by_limits: tuple[tuple[float, Chances], ...]
    remedies: tuple[Remedy, ...]
    as_is: Choice | None
    wider: Choice | None
    unplanned: dict[str, str]
    most: int


def plan_of(
    suite: Suite,
    base: Sequence[RunData],
    other: Sequence[RunData] | None,
    seeds: tuple[int, int],
    goal: Goal,
    most: int | None = None,
) -> Plan:
    """The plan of a suite's gate from runs of the baseline's checkpoint and of another; `seeds` are K of the baseline and k of
    a run, and no design has more than `most` prompts. Raises SuiteError for gates of which none can be planned, and for runs
    that are not repeats."""
    model, unplanned = gate_model(suite.gates, base, other)
    if not model.rows:
        raise SuiteError("; ".join(f"{name} cannot be planned: {why}" for name, why in unplanned.items()))
    prompts, most = len(set(base[0].clusters.values())), most or max(SEARCHED)
    places = round(len({place_of(case) for case in base[0].samples}) / prompts)
    present = Design(prompts, *seeds, places)
    sizes = sorted({n for n in (*SEARCHED, prompts) if n <= most})
    designs = [Design(n, held, asked, places) for n in sizes for held in NUMBERS for asked in NUMBERS]
    found = [cheapest(model, designs, goal, widen) for widen in (False, True)]
    as_is, wider = (None if f is None else Choice(f[0], _widened(suite.gates, model, f[1])) for f in found)
    return Plan(
        suite,
        base[0].label,
        len(base),
        "" if other is None else other[0].label,
        goal,
        model,
        model.chances(present),
        tuple(model.chances(Design(n, *p, places)) for p in sorted({*PAIRS, seeds}) for n in sorted({*PROMPTS, prompts})),
        tuple((factor, model.chances(present, factor * model.limits)) for factor in FACTORS),
        tuple(remedies(model, present, designs, goal)),
        as_is,
        wider,
        unplanned,
        most,
    )


def gate_model(
    gates: Mapping[str, Gate], base: Sequence[RunData], other: Sequence[RunData] | None
) -> tuple[GateModel, dict[str, str]]:
    """The model of a gate from runs of the baseline's checkpoint and of another, and why it leaves gates out.

    Raises SuiteError for runs that are not repeats.
    """
    for runs in (base, other or base):
        check_repeats(runs)
    pools = [by_seed(base), *([by_seed(other)] if other else [])]
    rows, tables, unplanned = list[PlannedRow](), list[Array](), dict[str, str]()
    for metric, gate in gates.items():
        try:
            if is_speed(metric):
                raise ValueError("speed has no seeds")
            if gate.max_increase is None and gate.max_decrease is None:
                raise ValueError("a window alone bounds a value, no change")
            of_metric = [prompt_table(pool, metric, gate.slice) for pool in pools]
            parts = components(*of_metric)
        except ValueError as error:
            unplanned[metric] = str(error)
            continue
        if gate.tags is not None:
            unplanned[f"{metric} by tag"] = "each row has prompts of its own"
        up, down = (allowed_change(limit, gate.min_change, parts.mean) for limit in (gate.max_increase, gate.max_decrease))
        rows.append(PlannedRow(metric, parts, up, down, metric in base[0].features, seed_kurtosis(of_metric[0])))
        tables.append(of_metric[0])
    return GateModel(rows, seed_correlation(tables) if tables else np.eye(0)), unplanned


def _widened(gates: Mapping[str, Gate], model: GateModel, limits: Array) -> dict[str, Gate]:
    """The gates with wider limits (rows, 2), in per cent, or where that has no meaning, as least change; without the others."""
    out = {}
    for row, wider in zip(model.rows, limits, strict=True):
        mean, change = row.components.mean, dict[str, float]()
        for key, value, own in zip(("max_increase", "max_decrease"), wider.tolist(), row.ends.tolist(), strict=True):
            if math.isfinite(value) and value > own:
                change |= {key: round_up(100 * value / mean)} if mean > 0 else {"min_change": round_up(value)}
        if change:
            out[row.name] = gates[row.name].model_copy(update=change)
    return out
