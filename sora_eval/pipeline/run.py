"""Runs a suite end to end: plan, generate, score, summarise; each stage resumes from disk.

Stages import their dependencies when they begin, so that errors of a suite or a spec are reported without delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sora_eval.features.device import where
from sora_eval.generators.identity import identity_of
from sora_eval.generators.opening import open_generator, read_spec
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.pipeline.again import GIVE_UP, drop_failed
from sora_eval.pipeline.ending import ending, writing
from sora_eval.pipeline.engines.opening import Engine, engine_of
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.plan import check, plan
from sora_eval.pipeline.reference import check_reference
from sora_eval.pipeline.scorable import remember_secrets, scorable_suite
from sora_eval.pipeline.trust import check_trust
from sora_eval.pipeline.unchanged import check_clips, check_generator, source_rows
from sora_eval.records.case import Case
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import GeneratorId, RunHead, Sequential, Shard, new_head
from sora_eval.runs.rows import OracleRow, SampleRow, ScoreRow, SourceRow, TimingRow
from sora_eval.suite import Suite
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import RunError, SuiteError
from sora_eval.util.progress import track


def run(
    suite: Suite,
    spec: str,
    out: Path | str,
    *,
    limit: int | None = None,
    reference: str | None = None,
    seed_offset: int = 0,
    workers: int = 1,
    give_up: int = GIVE_UP,
    shard: Shard | None = None,
    engine: EngineOptions | None = None,
) -> RunFolder:
    """Run a suite against a generator in a new run folder of `out`. Returns the finished run.

    `limit` is the largest number of cases, `reference` the spec of another reference set. `seed_offset` shifts every seed that
    the generator is asked for; cases keep their ids. `workers` processes score. Raises as `begin` does, GeneratorError where
    the first `give_up` cases fail for one reason (0: never), and RunError if the folder cannot be written. With `shard` it is
    one part of a run, for `pipeline.shards.merge`; the first one times what [throughput] asks for. With an `engine` its workers
    generate and score at once, in place of `workers`; RunError says where they cannot be had.
    """
    with engine_of(engine) as workforce:
        work = begin(
            suite,
            spec,
            out,
            limit=limit,
            reference=reference,
            seed_offset=seed_offset,
            workers=workers,
            give_up=give_up,
            shard=shard,
        )
        with ending(work.folder, work.generator):
            stages(work, cases_of(work.folder.head, work.cases), workforce)
    return work.folder


def run_all(
    suite: Suite,
    specs: Sequence[str],
    out: Path | str,
    *,
    limit: int | None = None,
    reference: str | None = None,
    seed_offset: int = 0,
    workers: int = 1,
    give_up: int = GIVE_UP,
    shard: Shard | None = None,
    engine: EngineOptions | None = None,
) -> list[RunFolder]:
    """Run a suite against several generators in turn; all specs are checked before one is opened. Raises as `run` does."""
    for spec in specs:
        check(suite, spec)
    options: dict[str, Any] = {"limit": limit, "reference": reference, "seed_offset": seed_offset, "workers": workers}
    return [run(suite, spec, out, **options, give_up=give_up, shard=shard, engine=engine) for spec in specs]


@dataclass(frozen=True)
class Work:
    """A run in progress: its folder, suite and generator, and all cases of its plan."""

    folder: RunFolder
    suite: Suite
    spec: str
    generator: Generator
    cases: list[Case]
    workers: int
    give_up: int = GIVE_UP


def begin(
    suite: Suite,
    spec: str,
    out: Path | str,
    *,
    limit: int | None = None,
    reference: str | None = None,
    seed_offset: int = 0,
    workers: int = 1,
    sequential: Sequential | None = None,
    give_up: int = GIVE_UP,
    shard: Shard | None = None,
) -> Work:
    """Open the generator, plan, and make the run folder; nothing is generated yet.

    Raises GeneratorError for a spec that cannot be opened, SuiteError for a suite that it cannot answer, and RunError if the
    folder cannot be written.
    """
    check(suite, spec)
    if reference is not None:
        suite = with_reference(suite, reference)
    remember_secrets(suite)
    generator = open_generator(spec)
    cases = plan(suite, generator)
    check_reference(suite)
    identity = GeneratorId(spec=spec, **asdict(identity_of(generator, spec)))
    if identity.not_covered:
        fix = "; give it a fingerprint" if spec.startswith("python:") else ""
        warn_once(f"{spec} names no weights: a change of {identity.not_covered} would go unseen{fix}")
    if shard is not None and shard.count > len(cases[:limit]):
        raise SuiteError(f"{suite.path} has {len(cases[:limit])} cases, too few for {shard.count} shards")
    partial = shard is not None or (limit is not None and limit < len(cases))
    head = new_head(
        suite,
        identity,
        partial=partial,
        limit=limit,
        shard=shard,
        seed_offset=seed_offset,
        sequential=sequential,
        networks=where(),
    )
    folder = RunFolder.create(Path(out), head, suite.to_json(), source_rows(generator))
    return Work(folder, suite, spec, generator, cases, workers, give_up)


def resume(
    folder: RunFolder,
    workers: int = 1,
    *,
    keep_errors: bool = False,
    give_up: int = GIVE_UP,
    engine: EngineOptions | None = None,
) -> RunFolder:
    """Resume a run that was killed, or in which cases failed: they are tried again, unless `keep_errors`.

    Raises RunError if the generator is not the one that started it, or not to be trusted, and GeneratorError as `run` does.
    """
    with engine_of(engine) as workforce:
        work = reopen(folder, workers, keep_errors=keep_errors, give_up=give_up)
        with ending(folder, work.generator):
            stages(work, cases_of(folder.head, work.cases), workforce)
    return folder


def reopen(folder: RunFolder, workers: int = 1, *, keep_errors: bool = False, give_up: int = GIVE_UP) -> Work:
    """The work of a run that is to be resumed, whose lock is held from now on; `ending` gives it back.

    Raises RunError if the generator is not the one that started it, and if another process writes the run.
    """
    _check_kind(folder)
    check_trust(folder)
    folder.lock.acquire()
    try:
        suite = scorable_suite(folder)
        spec = folder.head.generator.spec
        generator = open_generator(spec)
        folder.check_files()
        check_generator(folder, generator)
        cases = plan(suite, generator)
        _check_ids(folder, cases)
        with writing(folder):
            folder.drop_damaged_features()
            folder.repair("started")
            if not keep_errors:
                drop_failed(folder)
    except BaseException:
        folder.lock.release()
        raise
    return Work(folder, suite, spec, generator, cases, workers, give_up)


def cases_of(head: RunHead, cases: list[Case]) -> list[Case]:
    """The cases of a plan that a run asks for: all, the first `limit`, a shard, or those of `--until-decided`."""
    if head.sequential is not None:
        prompts = set(head.sequential.prompts)
        return [c for c in cases if c.prompt.id in prompts]
    return cases[: head.limit] if head.shard is None else head.shard.of(cases[: head.limit])


def rescore(folder: RunFolder, workers: int = 1, changes: Sequence[str] = ()) -> RunFolder:
    """Score the clips of a run again, from disk, and rebuild its summary.

    `changes` (`metrics.NAME.OPTION=VALUE`) make it a run of a suite with other metrics, which is compared with others of that
    suite only. Raises RunError, GeneratorError, and SuiteError for changes that cannot be made. A stranger's run is scored by
    what ships with this project only, unless it is trusted.
    """
    _check_kind(folder)
    check_trust(folder)
    with folder.lock.held():
        _rescore(folder, workers, changes)
    return folder


def _rescore(folder: RunFolder, workers: int, changes: Sequence[str]) -> None:
    from sora_eval.pipeline.oracles import score_oracles
    from sora_eval.pipeline.score import score
    from sora_eval.pipeline.summarise import summarise

    folder.check_files([SourceRow, SampleRow, TimingRow])  # what is not made again
    suite, whole = scorable_suite(folder, changes), folder.head.status in ("success", "scoring")
    generator = open_generator(folder.head.generator.spec)
    cases = cases_of(folder.head, plan(suite, generator))
    if isinstance(generator, ClipSource) and suite.axes is None:
        check_clips(folder, generator, cases)
    _check_ids(folder, cases)
    with writing(folder):
        folder.drop_damaged_features()
        folder.repair("scoring" if whole else None)  # until the end: whatever stops it, scoring again makes the run whole
        if suite.changes != folder.head.changes:
            folder.replace_suite(suite)
        folder.replace(ScoreRow, [])
        folder.replace(OracleRow, [])
        score(folder, suite, cases, generator if isinstance(generator, ClipSource) else None, workers)
        score_oracles(folder, suite, cases)
        summarise(folder, suite, cases)
        if whole:
            folder.finish()


def _check_kind(folder: RunFolder) -> None:
    """Raises RunError for a run of `bench`: repeats of another session are not interleaved with its own."""
    if folder.head.bench is not None:
        raise RunError(
            f"{folder.path} is a run of 'sora-eval bench': timings of two sessions do not go together, and it has no clips; "
            "start it again: sora-eval bench"
        )


def _check_ids(folder: RunFolder, cases: list[Case]) -> None:
    """Raises RunError for a row of samples.jsonl that is of none of the cases."""
    ids = {case.id for case in cases}
    if foreign := [row.id for row in folder.rows(SampleRow) if row.id not in ids]:
        table = folder.path / "samples.jsonl"
        raise RunError(f"{table} is damaged: {foreign[0]!r} is not a case of this run; delete the line and use --resume")


def with_reference(suite: Suite, spec: str) -> Suite:
    """The same suite against another reference set, whose path is relative to the working folder.

    Raises GeneratorError for an invalid spec.
    """
    read_spec(spec)
    declared = suite.model_dump(mode="json")
    declared["reference"] = {**(declared["reference"] or {}), "generator": spec}
    data = {**suite.to_json(), "declared": declared, "folder": str(Path.cwd())}
    return Suite.from_json(data, suite.path)


def stages(work: Work, cases: list[Case], engine: Engine | None = None) -> None:
    """Generate, score and summarise these cases of a run, by an engine's workers where there is one; clips and scores on disk
    stay unchanged."""
    folder, suite, generator = work.folder, work.suite, work.generator
    if engine is not None:
        from sora_eval.pipeline.engines.flow import Flow

        folder.update_head(engine=engine.options.used)
        Flow(engine, folder, suite, generator, work.spec, cases, work.give_up).run()
    elif not isinstance(generator, ClipSource) or suite.axes is not None:
        from sora_eval.pipeline.generate import generate

        generate(folder, suite, generator, cases, folder.head.seed_offset, work.give_up)

    from sora_eval.pipeline.oracles import score_oracles
    from sora_eval.pipeline.score import score
    from sora_eval.pipeline.summarise import summarise

    if suite.metrics:
        if engine is None:
            score(folder, suite, cases, generator if isinstance(generator, ClipSource) else None, work.workers)
        score_oracles(folder, suite, cases)
    first = folder.head.shard is None or folder.head.shard.index == 1  # timings of two machines are not one table
    if suite.throughput is not None and first and not isinstance(generator, ClipSource):
        sweep(folder, suite, generator)
    summarise(folder, suite, cases)


def sweep(folder: RunFolder, suite: Suite, generator: Generator) -> None:
    """Time the points of [throughput] that have no rows yet; the repeats of a point are appended in one write."""
    from sora_eval.speed import timing
    from sora_eval.speed.timed_generator import LocalGenerator

    existing = {row.id for row in folder.rows(TimingRow)}
    local = LocalGenerator(generator, folder.head.generator.spec)
    for (rows,) in track(timing.measure(suite, [local], existing), "throughput", len(timing.plan(suite, [local])[0])):
        folder.append(rows)
