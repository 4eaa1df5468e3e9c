"""Plans the size of a suite's gate: repeats a checkpoint, compares designs, and writes the cheapest into the suite file."""

from __future__ import annotations

from pathlib import Path

from sora_eval.compare.run_data import data_of
from sora_eval.generators.opening import read_spec
from sora_eval.runs.head import now
from sora_eval.studies.calibrate import needed, repeats_of
from sora_eval.studies.calibration import SEEDS
from sora_eval.studies.gate_plan import Plan, plan_of
from sora_eval.studies.planning import Goal
from sora_eval.studies.repeats import repeat
from sora_eval.suite import Suite, load_suite
from sora_eval.suite.editing import write_design, write_gates
from sora_eval.suite.prompts import read_prompts
from sora_eval.util.errors import SuiteError


def plan(
    suite: Suite,
    spec: str = "reference",
    pool: Path = Path("runs/pool"),
    *,
    against: str | None = None,
    repeats: int | None = None,
    seeds: tuple[int, int | None] = (SEEDS[0], None),
    goal: Goal | None = None,
    write: bool = False,
) -> Plan:
    """Plan the gate of a suite for checkpoints that vary like `spec`, and change like `against` does from it.

    The folder `pool` holds `repeats` runs of `spec` (by default as many as `seeds`, K of a baseline and k of a run, need) and 2
    seeds of `against`; existing runs are used. Without k it is the suite's, without `against` a new checkpoint is assumed to
    change all prompts alike. With `write` the suite file gets seeds, prompts and limits of the cheapest design, with wider
    limits only where none meets the goal with its own. Raises SuiteError for a suite without gates that can be planned, for
    runs that are not repeats, and with `write` for a design that cannot be written.
    """
    if not suite.gates:
        raise SuiteError(f"{suite.path} has no [gates.*]: there is nothing to plan; 'sora-eval calibrate' proposes limits")
    if write and suite.prompts is None:
        raise SuiteError(f"{suite.path} has no [prompts] and [axes], whose size could be set")
    for name in (spec, *filter(None, [against])):
        read_spec(name)
    pair = (seeds[0], seeds[1] or (len(suite.axes.seeds) if suite.axes else 1))
    base = repeats_of(suite, spec, repeats or needed(suite, pair), pool)
    other = None if against is None else [data_of(run) for run in repeat(suite, against, needed(suite, (1, 1)), pool)]
    result = plan_of(suite, base, other, pair, goal or Goal(), _prompts_of(suite))
    if write:
        generator = base[0].head.generator
        command = f"sora-eval plan {suite.suite.id} -g {generator.spec} --repeats {len(base)} --baseline-seeds {pair[0]}"
        command += f" --pass {result.goal.passing:g} --found {result.goal.found:g}"
        command += f" --against {other[0].head.generator.spec}" if other else ""
        _write(result, f"{command}; {now()[:10]}; {base[0].label} {generator.fingerprint[:12]}")
    return result


def _prompts_of(suite: Suite) -> int | None:
    """Number of prompts in the suite's file; None for a suite without one."""
    if suite.prompts is None:
        return None
    return len(read_prompts(suite.path, suite.prompts.model_copy(update={"limit": None})))


def _write(result: Plan, source: str) -> None:
    suite, choice = result.suite, result.as_is or result.wider
    if choice is None or suite.axes is None:
        raise SuiteError("nothing was written: no design meets the goal; see what each row needs, and drop or widen rows")
    seeds = suite.axes.seeds + [s for s in range(choice.design.seeds + len(suite.axes.seeds)) if s not in suite.axes.seeds]
    write_design(suite.path, seeds[: choice.design.seeds], choice.design.prompts, source)
    write_gates(suite.path, {m: gate.model_copy(update={"provenance": source}) for m, gate in choice.gates.items()})
    load_suite(suite.path)  # raises if the written file is not a valid suite
