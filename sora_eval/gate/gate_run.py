"""Judges a run on disk by the gates that it was made with, and writes the verdicts into its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sora_eval.compare.run_data import RunData, data_of
from sora_eval.gate import baseline as baselines
from sora_eval.gate.judge import gate
from sora_eval.gate.series import HORIZON, in_series
from sora_eval.gate.tradeoff import tradeoff_row
from sora_eval.records.verdict import FILE, GateResult
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.lock import PATIENCE
from sora_eval.suite import gates_of, load_suite
from sora_eval.util.errors import RunError


def gate_run(
    run: RunFolder,
    baseline: Path = baselines.FOLDER,
    *,
    suite: Path | str | None = None,
    profile: str | None = None,
    strict: bool = False,
    series: Path | None = None,
    horizon: int = HORIZON,
) -> GateResult:
    """Judge a run against `baseline` (a file, a folder of files or a run folder) and write its verdicts.json.

    The gates are those of the run, or of a `suite` file with the same fingerprint. `series` is a folder of runs: those that
    started before this one and were gated against this baseline are its series, of which half of the budget of false alarms is
    spent after `horizon` runs. Raises SuiteError, BaselineError and RunError
    for what cannot be read, belongs to another suite or cannot be written.
    """
    stored = stored_suite(run)
    source = stored if suite is None else load_suite(suite)
    gates = gates_of(source, stored.fingerprint)
    base = baselines.find(baseline, stored.suite.id, profile)
    result = gate(run, base, gates, strict=strict, profile=profile)
    if source.tradeoff is not None:
        result = replace(result, rows=(*result.rows, tradeoff_row(result.rows, source.tradeoff)))
    if series is not None and base is not None:
        result = in_series(result, data_of(run), base, gates, earlier_runs(series, run, base), horizon=horizon)
    with run.lock.held(PATIENCE):
        run.save_json(FILE, result.to_json())
    return result


def earlier_runs(folder: Path, run: RunFolder, base: RunData) -> list[RunData]:
    """The runs in a folder that started before `run` and were gated against this baseline, oldest first.

    Raises RunError for a folder that is none, and for a run or verdicts.json that is damaged: a run that is left out would be
    spent again.
    """
    if not folder.is_dir():
        raise RunError(f"--series {folder} is no folder; name the folder that holds the runs that were gated before")
    runs = []
    for other in find_runs(folder):
        head = other.head
        if other.name in {run.name, *base.runs} or (head.started, other.name) >= (run.head.started, run.name):
            continue
        verdicts = GateResult.read(other.path)
        if verdicts is not None and verdicts.baseline.get("run") in base.runs:
            runs.append((head.started, other.name, other))
    return [data_of(other) for _, _, other in sorted(runs, key=lambda r: r[:2])]
