"""Judges a run on disk by the gates that it was made with, and writes the verdicts into its folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sora_eval.compare.kept import keeps_clips
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.gate import baseline as baselines
from sora_eval.gate.judge import gate
from sora_eval.gate.limits import agreed
from sora_eval.gate.series import HORIZON, in_series
from sora_eval.records.verdict import FILE, GateResult
from sora_eval.registry.paired_metrics import PAIRED_OUTPUTS
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.lock import PATIENCE
from sora_eval.suite import Gate, Suite, gates_of, load_suite
from sora_eval.util.errors import RunError

Measure = Callable[[RunData, RunData, Sequence[str]], RunData]  # base, new, and paired metrics beside the cheap ones


def with_clips(base: RunData | None, new: RunData, gates: Collection[str], measured: Measure | None) -> RunData:
    """`new` with the fidelity of its clips to those of `base` where a gate asks for it, or where the baseline keeps clips."""
    if base is None or measured is None:
        return new
    paired = list(dict.fromkeys(PAIRED_OUTPUTS[metric] for metric in gates if metric in PAIRED_OUTPUTS))
    return measured(base, new, paired) if paired or keeps_clips(base) else new


def gate_run(
    run: RunFolder,
    baseline: Path = baselines.FOLDER,
    *,
    suite: Path | str | None = None,
    profile: str | None = None,
    strict: bool = False,
    series: Path | None = None,
    horizon: int = HORIZON,
    measured: Measure | None = None,
) -> GateResult:
    """Judge a run against `baseline` (a file, a folder of files or a run folder) and write its verdicts.json.

    The gates are those of the run where the baseline has no tighter ones, or of a `suite` file with the same fingerprint.
    `series` is a folder of runs: those that started before this one and were gated against this baseline are its series, of
    which half of the budget of false alarms is spent after `horizon` runs. Raises SuiteError, BaselineError and RunError for
    what cannot be read, belongs to another suite or cannot be written. `measured` compares the clips of both, where a gate is
    of a paired metric or the baseline keeps clips.
    """
    stored = stored_suite(run)
    base, new = baselines.find(baseline, stored.suite.id, profile), data_of(run)
    if suite is None:
        source, gates = stored, limits_for(stored, base)[0]
        new = with_clips(base, new, gates, measured)
        result = judged(new, base, stored, strict=strict, profile=profile)
    else:
        source = load_suite(suite)
        gates = gates_of(source, stored.fingerprint)
        new = with_clips(base, new, gates, measured)
        result = gate(new, base, gates, strict=strict, profile=profile, tradeoff=source.tradeoff)
    if series is not None and base is not None:
        result = in_series(result, new, base, gates, earlier_runs(series, run, base), horizon=horizon)
    with run.lock.held(PATIENCE):
        run.save_json(FILE, result.to_json())
    return result


def judged(
    run: RunFolder | RunData,
    baseline: RunFolder | RunData | None,
    suite: Suite,
    *,
    strict: bool = False,
    profile: str | None = None,
) -> GateResult:
    """Judge a run by its suite, but by no wider limits than those of the baseline; a row says where it has the baseline's.

    Raises what `gate` raises.
    """
    base = None if baseline is None else data_of(baseline)
    gates, notes = limits_for(suite, base)
    result = gate(run, base, gates, strict=strict, profile=profile, tradeoff=suite.tradeoff)
    rows = (replace(r, reason=f"{r.reason}; {notes[r.metric]}") if r.metric in notes else r for r in result.rows)
    return replace(result, rows=tuple(rows))


def limits_for(suite: Suite, base: RunData | None) -> tuple[dict[str, Gate], dict[str, str]]:
    """The gates of a suite and a baseline that its run is judged by, and notes on those of the baseline: see `agreed`."""
    if base is None:
        held: Mapping[str, Gate] = {}
    else:
        held = base.gates if base.kind == "baseline" else stored_suite(RunFolder(Path(base.path))).gates
    return agreed(suite.gates, held)


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
