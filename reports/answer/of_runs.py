"""The answer of runs on disk: of one, of two, of a ladder, or of the last gate."""

from __future__ import annotations

from pathlib import Path

from sora_eval.compare.checkpoints import checkpoint_order, names_of
from sora_eval.compare.comparison import Comparison
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.gate.gate_run import judged
from sora_eval.records.scale import Scale
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.rows import MetricRow, SampleRow
from sora_eval.runs.scales import reference_clips, scale_of
from sora_eval.util.errors import RunError, SoraEvalError
from sora_eval_reports.answer.ladder import ladder
from sora_eval_reports.answer.one_run import one_run
from sora_eval_reports.answer.statement import Answer
from sora_eval_reports.answer.two_runs import two_runs
from sora_eval_reports.answer.verdict import of_gate
from sora_eval_reports.source import Source


def of_run(run: RunFolder) -> Answer:
    """The answer of a run alone. Raises RunError for a damaged one."""
    return one_run(run.head, run.rows(MetricRow), scale_behind(run), itself=is_reference(run))


def scale_behind(run: RunFolder) -> Scale | None:
    """The scale of a run's suite, where one is known and its suite can be read."""
    try:
        return scale_of(run)
    except RunError:
        return None


def is_reference(run: RunFolder) -> bool:
    """Whether the clips of a run are those of its reference set."""
    real = set(reference_clips(run))
    return bool(real) and {s.sha256 for s in run.rows(SampleRow) if s.sha256} == real


def verdict_between(base: RunFolder | RunData, new: RunFolder | RunData) -> GateResult | None:
    """The last gate of the new run, if it was one against this base; None without one, and where it cannot be read."""
    first, second = data_of(base), data_of(new)
    try:
        verdict = GateResult.read(Path(second.path)) if second.kind == "run" else None
    except RunError:
        return None
    same = verdict is not None and verdict.baseline.get("run") in first.runs and verdict.run.get("run") == second.run_id
    return verdict if same else None


def of_pair(comparison: Comparison, base: RunFolder | RunData, new: RunFolder | RunData) -> Answer:
    """The answer of two runs and their comparison: in the words of their gate, if there was one; where the comparison cannot
    tell, but the gates of the suite hold, that the new run is not worse."""
    first, second = data_of(base), data_of(new)
    verdict = verdict_between(first, second)
    answer = two_runs(comparison, verdict)
    if verdict is None and answer.word == "cannot tell" and (held := _limits_that_hold(first, second)) is not None:
        return two_runs(comparison, held)
    return answer


def _limits_that_hold(base: RunData, new: RunData) -> GateResult | None:
    """The verdict of the suite's gates on two runs, if every row is PASS."""
    if new.kind != "run":
        return None
    try:
        suite = stored_suite(RunFolder(Path(new.path)))
        verdict = judged(new, base, suite) if suite.gates else None
    except SoraEvalError:
        return None
    return verdict if verdict is not None and verdict.verdict is Verdict.PASS and not new.incomplete() else None


def of_source(source: Source) -> Answer:
    """The answer of a report: of its gate, else of its ladder, its last run against the first, or its only run; without the
    folders of this machine."""
    answer = _of_source(source)
    return Answer(source.plain(answer.word), source.plain(answer.text), answer.tone)


def _of_source(source: Source) -> Answer:
    if not source.runs:
        return Answer("no run", "none could be read; the reasons are below", "bad")
    if source.verdicts is not None:
        return of_gate(source.verdicts, source.runs[-1])
    if len(source.runs) == 1:
        return of_run(source.runs[0])
    if not source.compared:
        return Answer("cannot tell", "; ".join(source.refused), "open")
    steps = [run.head.generator.training_steps for run in source.runs]
    if len(steps) > 2 and None not in steps and len(set(steps)) == len(steps):
        data = [source.data[i] for i in sorted(range(len(steps)), key=lambda i: steps[i] or 0)]
        try:
            return ladder(checkpoint_order(data), names_of(data))
        except RunError:
            pass  # one of them is no step of a ladder
    run, comparison = source.compared[-1]
    return of_pair(comparison, source.data[0], source.data[source.runs.index(run)])
