"""Measures the error rates of a suite's gate: makes a pool of real runs, then gates virtual runs sampled from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from sora_eval.compare.run_data import RunData, data_of
from sora_eval.generators.opening import read_spec
from sora_eval.studies.error_rates import CHUNK, GateErrors, Rates, draw_rates
from sora_eval.studies.repeats import repeat
from sora_eval.suite import Suite
from sora_eval.util.errors import SuiteError
from sora_eval.util.progress import track

# Known degradations of the reference model: less training, less precision, fewer steps, no guidance.
WORSE = (
    "reference:middle",
    "reference:early",
    "reference:base-int8",
    "reference?steps=10",
    "reference?steps=5",
    "reference?steps=2",
    "reference?guidance=1",
)


def gate_errors(
    suite: Suite,
    spec: str = "reference",
    against: Sequence[str] = WORSE,
    pool: Path = Path("runs/pool"),
    *,
    repeats: int = 6,
    others: int = 2,
    draws: int = 1000,
    power: int = 200,
    workers: int = 2,
) -> GateErrors:
    """Rates of the verdicts of a suite's gate, with `spec` as the checkpoint of the baseline.

    The folder `pool` holds `repeats` runs of `spec` and `others` of each generator of `against`; existing runs are reused.
    `draws` A/A pairs are gated, and `power` pairs per other generator; the rates do not depend on the number of `workers`.
    Raises SuiteError for a suite without gates, GeneratorError for an invalid spec.
    """
    if not suite.gates:
        raise SuiteError(f"{suite.path} has no [gates.*]: there is nothing whose errors could be measured")
    for name in (spec, *against):
        read_spec(name)
    base = [data_of(run) for run in repeat(suite, spec, repeats, pool)]
    arms: list[tuple[str, list[RunData] | None, int]] = [(f"{spec}, again", None, draws)]
    arms += [(name, [data_of(run) for run in repeat(suite, name, others, pool)], power) for name in against]
    rates = []
    for name, new, count in arms:
        chunks = draw_rates(name, base, new, suite.gates, count, workers=workers)
        rates.append(reduce(Rates.joined, track(chunks, name, total=-(-count // CHUNK)), Rates(name)))
    return GateErrors(suite.suite.id, len(suite.cases), base[0].label, repeats, others, tuple(rates))
