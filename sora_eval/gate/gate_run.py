"""Judges a run on disk by the gates that it was made with, and writes the verdicts into its folder."""

from __future__ import annotations

from pathlib import Path

from sora_eval.gate import baseline as baselines
from sora_eval.gate.judge import gate
from sora_eval.records.verdict import FILE, GateResult
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.suite import gates_of, load_suite


def gate_run(
    run: RunFolder,
    baseline: Path = baselines.FOLDER,
    *,
    suite: Path | str | None = None,
    profile: str | None = None,
    strict: bool = False,
) -> GateResult:
    """Judge a run against `baseline` (a file, a folder of files or a run folder) and write its verdicts.json.

    The gates are those of the run, or of a `suite` file with the same fingerprint. Raises SuiteError, BaselineError
    and RunError for what cannot be read, belongs to another suite or cannot be written.
    """
    stored = stored_suite(run)
    gates = stored.gates if suite is None else gates_of(load_suite(suite), stored.fingerprint)
    base = baselines.find(baseline, stored.suite.id, profile)
    result = gate(run, base, gates, strict=strict, profile=profile)
    run.save_json(FILE, result.to_json())
    return result
