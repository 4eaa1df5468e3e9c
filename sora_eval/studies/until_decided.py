"""A run that adds batches of prompts until its gate is decided. Every look continues from the files of the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sora_eval.compare.run_data import RunData, data_of
from sora_eval.gate import baseline as baselines
from sora_eval.gate.gate_run import judged
from sora_eval.gate.looks import BATCH, is_decided, looks
from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.again import GIVE_UP
from sora_eval.pipeline.ending import ending
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.trust import check_trust
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import FILE, GateResult
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.head import LookRecord, Sequential, suite_id
from sora_eval.runs.lock import PATIENCE
from sora_eval.suite import Suite
from sora_eval.util.errors import BaselineError, RunError, SuiteError


def run_until_decided(
    suite: Suite,
    spec: str,
    out: Path | str,
    baseline: Path,
    *,
    batch: int = BATCH,
    spending: str = "obrien-fleming",
    reference: str | None = None,
    profile: str | None = None,
    strict: bool = False,
    workers: int = 1,
    give_up: int = GIVE_UP,
) -> tuple[RunFolder, GateResult]:
    """Run a suite in batches of whole prompts, in its order, until the gate is decided or no prompts are left.

    Writes verdicts.json. Raises SuiteError for a suite without gates that prompts can decide, BaselineError for a baseline
    without the same cases of the same suite, and what `pipeline.run.begin` raises.
    """
    if reference is not None:
        suite = evaluate.with_reference(suite, reference)
    base = _baseline(suite, baseline, profile)
    planned = looks(len(suite.prompt_list), batch, spending)
    record = Sequential(
        baseline=str(baseline.resolve()),
        baseline_run=base.run_id,
        profile=profile,
        strict=strict,
        batch=batch,
        spending=spending,
        pool=len(suite.prompt_list),
        prompts=tuple(p.id for p in suite.prompt_list[: planned[0].prompts]),
        alpha=planned[0].alpha,
    )
    return _look(evaluate.begin(suite, spec, out, workers=workers, sequential=record, give_up=give_up), base)


def resume_any(
    folder: RunFolder,
    workers: int = 1,
    *,
    keep_errors: bool = False,
    give_up: int = GIVE_UP,
    engine: EngineOptions | None = None,
) -> GateResult | None:
    """Resume any run that was killed, or in which cases failed; the verdicts of a run of `--until-decided`, else None.

    Raises RunError for an `engine` for a run of `--until-decided`.
    """
    if folder.head.sequential is None:
        evaluate.resume(folder, workers, keep_errors=keep_errors, give_up=give_up, engine=engine)
        return None
    if engine is not None:
        raise RunError(f"{folder.path} was made with --until-decided, which does not go with --engine; use --workers")
    return resume(folder, workers, keep_errors=keep_errors, give_up=give_up)[1]


def resume(
    folder: RunFolder, workers: int = 1, *, keep_errors: bool = False, give_up: int = GIVE_UP
) -> tuple[RunFolder, GateResult]:
    """Resume a run of `--until-decided` at the look at which it was killed; failed cases are tried again, unless `keep_errors`.

    Raises BaselineError if the baseline has changed, RunError for a run of another kind or with another generator.
    """
    check_trust(folder)
    sized = sequential_of(folder)
    path = Path(sized.baseline)
    base = _baseline(stored_suite(folder), path, sized.profile)
    if base.run_id != sized.baseline_run:
        raise BaselineError(
            f"{path} is now of run {base.run_id!r}; this run was begun against {sized.baseline_run!r}: start a new one"
        )
    return _look(evaluate.reopen(folder, workers, keep_errors=keep_errors, give_up=give_up), base)


def sequential_of(folder: RunFolder) -> Sequential:
    """The state of a run of `--until-decided` in run.json. Raises RunError for a run of another kind."""
    if folder.head.sequential is None:
        raise RunError(f"{folder.path} was not made with --until-decided; resume it with 'sora-eval run --resume'")
    return folder.head.sequential


def _look(work: evaluate.Work, base: RunData) -> tuple[RunFolder, GateResult]:
    folder, names = work.folder, [p.id for p in work.suite.prompt_list]
    sized = sequential_of(folder)
    result: GateResult | None = None
    with ending(folder, work.generator):
        for look in looks(sized.pool, sized.batch, sized.spending):
            if look.prompts < len(sized.prompts):
                continue  # this look ended undecided before the run was killed
            sized = sized.model_copy(update={"prompts": tuple(names[: look.prompts]), "alpha": look.alpha})
            folder.update_head(sequential=sized)
            evaluate.stages(work, evaluate.cases_of(folder.head, work.cases))
            result, sized = _judged(work, base, sized)
            folder.update_head(sequential=sized)
            if sized.decided:
                break
    if result is None:
        raise RunError(f"{folder.path}/run.json is damaged: it asks more prompts than its suite has")
    result = replace(result, run={**result.run, "finished": folder.head.finished})
    with folder.lock.held(PATIENCE):
        folder.save_json(FILE, result.to_json())
    return folder, result


def _judged(work: evaluate.Work, base: RunData, sized: Sequential) -> tuple[GateResult, Sequential]:
    """The verdict after the prompts of a look, and the state with that look added."""
    data = data_of(work.folder)
    whole = replace(data, head=data.head.model_copy(update={"status": "success"}))  # all prompts of this look are done
    result = judged(whole, base, work.suite, strict=sized.strict, profile=sized.profile)
    decided = is_decided(result)
    earlier = [look for look in sized.looks if look.prompts < len(sized.prompts)]
    look = LookRecord(prompts=len(sized.prompts), alpha=sized.alpha, verdict=str(result.verdict))
    sized = sized.model_copy(update={"decided": decided, "looks": (*earlier, look)})
    return replace(result, sizing=sized.words()), sized


def _baseline(suite: Suite, path: Path, profile: str | None) -> RunData:
    """The baseline of every look. Raises SuiteError and BaselineError before anything is generated."""
    if not suite.prompt_list:
        raise SuiteError(f"{suite.path} has no [prompts]: --until-decided has no pool to add prompts from; run it whole")
    if not any(not is_speed(metric) for metric in suite.gates):
        raise SuiteError(f"{suite.path} has no [gates.*] that prompts decide: add one of a metric of quality, or run it whole")
    base = baselines.find(path, suite.suite.id, profile)
    if base is None:
        raise BaselineError(
            f"{path} holds no baseline of {suite.suite.id!r} to decide against: run it whole, then 'sora-eval baseline promote'"
        )
    if why := base.incomplete():
        raise BaselineError(f"{base.path} cannot be compared with: {why}")
    if base.head.suite != (asked := suite_id(suite)):
        raise BaselineError(f"{base.path} is of suite {base.head.suite}, not {asked}: make a baseline of this suite")
    if offset := base.head.seed_offset:
        raise BaselineError(f"{base.path} has its seeds shifted by {offset}: its cases are not those of the suite")
    if lacking := [c.id for c in suite.cases if c.id not in base.samples]:
        raise BaselineError(
            f"{base.path} lacks {len(lacking)} of {len(suite.cases)} cases of the pool, for example {lacking[0]}: "
            "a baseline holds every prompt of its suite"
        )
    return base
