"""Measures the error rates of a suite's gate: makes a pool of real runs, then gates virtual runs sampled from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from sora_eval.compare.run_data import RunData, data_of
from sora_eval.generators.opening import read_spec
from sora_eval.studies.error_rates import CHUNK, Arm, GateErrors, Rates, by_seed, draw_rates, share_at_limit
from sora_eval.studies.repeats import repeat
from sora_eval.suite import Suite
from sora_eval.util.errors import SuiteError
from sora_eval.util.progress import track

# The same weights in other code or with fewer steps, from the same seeds: a gate should pass what it cannot see.
SAME_SEEDS = ("reference?backend=torch", "reference:base-int8", "reference?steps=10", "reference?steps=5")
# Known degradations of the reference model, from any seeds: less training, fewer steps, no guidance.
WORSE = ("reference:middle", "reference:early", "reference?steps=5", "reference?guidance=1")
LIMITS = (1.0, 1.5, 2.0)  # true changes of the row that is first at its limit
SEEDS = (4, 2)  # of the baseline and of the run, per prompt


def gate_errors(
    suite: Suite,
    spec: str = "reference",
    against: Sequence[str] = WORSE,
    pool: Path = Path("runs/pool"),
    *,
    same_seeds: Sequence[str] | None = None,
    seeds: tuple[int, int] = SEEDS,
    repeats: int = 6,
    others: int = 2,
    draws: int = 1000,
    power: int = 200,
    workers: int = 2,
) -> GateErrors:
    """Rates of the verdicts of a suite's gate, with `spec` as the checkpoint of the baseline, and `seeds` (of the baseline, of
    the run) per prompt.

    The folder `pool` holds `repeats` runs of `spec` and `others` of each other generator; existing runs are reused, and every
    seed of every run is drawn from. `draws` A/A pairs are gated, and as many of a true change of one limit, made by mixing in
    clips of the first of `against`; `power` pairs of larger changes and per other generator, those of `same_seeds` (by default
    of the reference model's) from the baseline's own seeds. The rates do not depend on the number of `workers`.
    Raises SuiteError for a suite without gates, GeneratorError for an invalid spec.
    """
    if not suite.gates:
        raise SuiteError(f"{suite.path} has no [gates.*]: there is nothing whose errors could be measured")
    if same_seeds is None:
        same_seeds = SAME_SEEDS if against is WORSE else ()
    for name in (spec, *against, *same_seeds):
        read_spec(name)
    base = _pool(suite, spec, repeats, pool)
    made = {name: _pool(suite, name, others, pool) for name in dict.fromkeys([*same_seeds, *against])}
    arms = [(Arm("nothing changed, other seeds", base), draws)]
    arms += [(Arm(f"{name}, same seeds", base, made[name], same_seeds=True), power) for name in same_seeds]
    arms += [(Arm(f"{name}, other seeds", base, made[name]), power) for name in against]
    if against and (found := share_at_limit(base, made[against[0]], suite.gates)):
        row, share = found
        for times in LIMITS:
            if times * share <= 1:
                name = f"{row} at {times:g} x its limit ({times * share:.0%} of clips {against[0]})"
                arms.append((Arm(name, base, made[against[0]], share=times * share), draws if times == 1 else power))
    rates = []
    for arm, count in arms:
        chunks = draw_rates(arm, suite.gates, count, seeds=seeds, workers=workers)
        rates.append(reduce(Rates.joined, track(chunks, arm.name, total=-(-count // CHUNK)), Rates(arm.name)))
    return GateErrors(suite.suite.id, len(base[0].samples), base[0].label, seeds, len(base), tuple(rates))


def _pool(suite: Suite, spec: str, repeats: int, pool: Path) -> list[RunData]:
    """Every seed of `repeats` runs, as a run of its own."""
    return by_seed([data_of(run) for run in repeat(suite, spec, repeats, pool)])
