"""Calibrates the gates of a suite: repeats one checkpoint, proposes limits, and writes them into the suite file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sora_eval.compare.run_data import data_of
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import now
from sora_eval.studies.calibration import PASSING, Calibration, propose, spreads
from sora_eval.studies.repeats import repeat
from sora_eval.suite import Suite, load_suite
from sora_eval.suite.editing import write_gates
from sora_eval.util.errors import SuiteError


def calibrate(
    suite: Suite,
    spec: str = "reference",
    repeats: int = 5,
    out: Path = Path("runs"),
    *,
    runs: Sequence[RunFolder] | None = None,
    metrics: Sequence[str] = (),
    share: float = PASSING,
    write: bool = False,
) -> Calibration:
    """Propose limits that a `share` (0 to 1) of the ordered pairs of repeats pass; `metrics` are gated beside the suite's.

    Repeats in `out` are reused; with `runs` only these are used and nothing is generated. With `write` the limits of the
    gated metrics are written into the suite file. Raises SuiteError for runs of another suite, for runs that are not repeats,
    for a metric without a spread, and for nothing to write.
    """
    gated = tuple(dict.fromkeys([*suite.gates, *metrics]))
    if write and not gated:
        raise SuiteError(f"{suite.path} has no [gates.*]; choose a few metrics with --metric")
    for run in runs or ():
        if run.head.suite.fingerprint != suite.fingerprint:
            raise SuiteError(f"{run.path} is a run of another suite than {suite.path}")
    data = [data_of(run) for run in (repeat(suite, spec, repeats, out) if runs is None else runs)]
    measured = {s.metric: s for s in spreads(data, share)}
    if unknown := [m for m in metrics if m not in measured]:
        raise SuiteError(f"no spread of {', '.join(unknown)}; measured: {', '.join(measured)}")
    generator = data[0].head.generator
    command = f"sora-eval calibrate {suite.suite.id} -g {generator.spec} --repeats {len(data)} --share {share:g}"
    calibration = Calibration(
        suite,
        data[0].label,
        len(data),
        measured,
        {m: propose(s, suite.gates.get(m)) for m, s in measured.items()},
        gated,
        f"{command}; {now()[:10]}; {data[0].label} {generator.fingerprint[:12]}",
    )
    if write:
        write_gates(suite.path, calibration.limits)
        load_suite(suite.path)  # raises if the written file is not a valid suite
    return calibration
