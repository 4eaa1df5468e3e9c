"""Calibrates the gates of a suite: repeats one checkpoint, proposes limits, and writes them into the suite file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from sora_eval.compare.run_data import RunData, data_of
from sora_eval.records.speed_metrics import is_speed
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import now
from sora_eval.studies.calibration import DRAWS, PASSING, SEEDS, Calibration, drawn, propose, spreads
from sora_eval.studies.repeats import repeat
from sora_eval.suite import Suite, load_suite
from sora_eval.suite.editing import write_gates
from sora_eval.util.errors import SuiteError, near
from sora_eval.util.progress import track


def calibrate(
    suite: Suite,
    spec: str = "reference",
    repeats: int | None = None,
    out: Path = Path("runs"),
    *,
    runs: Sequence[RunFolder] | None = None,
    metrics: Sequence[str] = (),
    keep: Sequence[str] = (),
    share: float = PASSING,
    seeds: tuple[int, int] = SEEDS,
    draws: int = DRAWS,
    write: bool = False,
) -> Calibration:
    """Propose limits that the whole gate passes in a `share` (0 to 1) or more of `draws` pairs of runs when nothing changed.

    A pair is a baseline of `seeds[0]` seeds a prompt and a run of `seeds[1]` others, drawn from `repeats` runs (by default as
    many as that needs). The gate has the suite's metrics and `metrics`, or without both every metric; those of `keep` stay as
    they are. Repeats in `out` are reused; with `runs` only these are used and nothing is generated. With `write` the limits
    are written into the suite file. Raises SuiteError for runs of another suite, for runs that are not repeats, for too few of
    them, for one of `metrics` without a spread, for one of `keep` without a gate, and for nothing to write.
    """
    gated = tuple(dict.fromkeys([*suite.gates, *metrics]))
    if write and not gated:
        raise SuiteError(f"{suite.path} has no [gates.*]; choose a few metrics with --metric")
    if unknown := [m for m in keep if m not in suite.gates]:
        raise SuiteError(f"{suite.path} has no gate of {unknown[0]!r} to keep{near(unknown[0], list(suite.gates))}")
    data = repeats_of(suite, spec, repeats or needed(suite, seeds), out, runs)
    names = gated or tuple(m for m, label in data[0].metrics if label == "all" and not is_speed(m))
    slices = {m: suite.gates[m].slice if m in suite.gates else "all" for m in names if not is_speed(m)}
    measured, problems = spreads(data, slices, track(drawn(data, slices, seeds, draws), "pairs of runs", total=draws))
    problems |= {m: "speed has no seeds" for m in names if is_speed(m)}
    if unknown := [m for m in metrics if m not in measured]:
        why = "; ".join(f"{m}: {problems[m]}" for m in unknown)
        raise SuiteError(f"no spread of {', '.join(unknown)}; {why}; measured: {', '.join(measured) or 'none'}")
    generator = data[0].head.generator
    command = f"sora-eval calibrate {suite.suite.id} -g {generator.spec} --repeats {len(data)} --pass {share:g}"
    command += "".join(f" --keep {m}" for m in keep)
    command += f" --baseline-seeds {seeds[0]} --seeds {seeds[1]}"
    calibration = Calibration(
        suite,
        data[0].label,
        len(data),
        len(data[0].samples),
        seeds,
        measured,
        propose(measured, suite.gates, share, keep),
        problems,
        f"{command}; {now()[:10]}; {data[0].label} {generator.fingerprint[:12]}",
        tuple(keep),
    )
    if write:
        write_gates(suite.path, calibration.limits)
        load_suite(suite.path)  # raises if the written file is not a valid suite
    return calibration


def needed(suite: Suite, seeds: tuple[int, int]) -> int:
    """Number of runs of a suite that hold `seeds[0]` + `seeds[1]` seeds a prompt, at least 2."""
    return max(math.ceil(sum(seeds) / (len(suite.axes.seeds) if suite.axes else 1)), 2)


def repeats_of(suite: Suite, spec: str, repeats: int, out: Path, runs: Sequence[RunFolder] | None = None) -> list[RunData]:
    """The data of `runs`, else of `repeats` runs of a generator in `out`. Raises SuiteError for runs of another suite."""
    for run in runs or ():
        if run.head.suite.fingerprint != suite.fingerprint:
            raise SuiteError(f"{run.path} is a run of another suite than {suite.path}")
    return [data_of(run) for run in (repeat(suite, spec, repeats, out) if runs is None else runs)]
