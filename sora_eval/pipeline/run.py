"""The way of a run: plan -> generate -> score -> summarise. Every stage goes on from what is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.generators.shapes import shape_problems
from sora_eval.pipeline.generate import generate
from sora_eval.pipeline.oracles import score_floors
from sora_eval.pipeline.score import score
from sora_eval.pipeline.summarise import summarise
from sora_eval.records.case import Case
from sora_eval.runs.folder import RunFolder, new_head, now, stored_suite
from sora_eval.speed import timing
from sora_eval.speed.timed_generator import LocalGenerator
from sora_eval.suite import Suite
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
) -> RunFolder:
    """Run a suite against a generator, from nothing. Returns the finished run.

    `seed_offset` shifts every seed that the generator is asked for; cases keep their ids. `workers` processes score.
    """
    work = begin(suite, spec, out, limit=limit, reference=reference, seed_offset=seed_offset, workers=workers)
    with ending(work.folder):
        stages(work, asked(work.folder.head, work.cases))
    return work.folder


@dataclass(frozen=True)
class Work:
    """A run under way: its folder, what was opened for it, and all cases of its plan."""

    folder: RunFolder
    suite: Suite
    generator: Generator
    cases: list[Case]
    workers: int


def begin(
    suite: Suite,
    spec: str,
    out: Path | str,
    *,
    limit: int | None = None,
    reference: str | None = None,
    seed_offset: int = 0,
    workers: int = 1,
    sequential: dict[str, Any] | None = None,
) -> Work:
    """Open the generator, plan, and make the run folder; nothing is generated yet."""
    if reference is not None:
        suite = with_reference(suite, reference)
    generator = open_generator(spec)
    cases = plan(suite, generator)
    made_by = {
        "spec": spec,
        "name": generator.name,
        "checkpoint": generator.checkpoint,
        "fingerprint": generator.fingerprint(),
        "steps": generator.training_steps,
    }
    partial = limit is not None and limit < len(cases)
    more = {} if sequential is None else {"sequential": sequential}
    head = new_head(suite, made_by, partial=partial, limit=limit, seed_offset=seed_offset, **more)
    return Work(RunFolder.create(Path(out), head, suite.to_json()), suite, generator, cases, workers)


def resume(folder: RunFolder, workers: int = 1) -> RunFolder:
    """Go on with a run that was killed. Raises RunError if the generator is not the one that started it."""
    work = reopen(folder, workers)
    with ending(folder):
        stages(work, asked(folder.head, work.cases))
    return folder


def reopen(folder: RunFolder, workers: int = 1) -> Work:
    """The work of a run that was killed. Raises RunError if the generator is not the one that started it."""
    head = folder.head
    suite = stored_suite(folder)
    generator = open_generator(head["generator"]["spec"])
    if generator.fingerprint() != head["generator"]["fingerprint"]:
        raise RunError(
            f"{folder.path}: the weights or files of {head['generator']['spec']} have changed since this run "
            "started; a resumed run would mix two generators: start a new one"
        )
    folder.repair()
    folder.update_head(status="started")
    return Work(folder, suite, generator, plan(suite, generator), workers)


def asked(head: dict[str, Any], cases: list[Case]) -> list[Case]:
    """The cases of a plan that a run asks: all, the first `limit`, or those of the prompts that decided it."""
    if sized := head.get("sequential"):
        prompts = set(sized["prompts"])
        return [c for c in cases if c.prompt.id in prompts]
    return cases[: head["limit"]]


def rescore(folder: RunFolder, workers: int = 1) -> RunFolder:
    """Score the clips of a run again, from disk, and rebuild its summary."""
    suite = stored_suite(folder)
    generator = open_generator(folder.head["generator"]["spec"])
    cases = asked(folder.head, plan(suite, generator))
    folder.replace("scores", [])
    folder.replace("floors", [])
    score(folder, suite, cases, generator if isinstance(generator, ClipSource) else None, workers)
    score_floors(folder, suite, cases)
    summarise(folder, suite, cases)
    return folder


def with_reference(suite: Suite, spec: str) -> Suite:
    """The same suite against another reference set."""
    data = suite.to_json()
    data["declared"]["reference"] = {**(data["declared"]["reference"] or {}), "generator": spec}
    return Suite.from_json(data, suite.path)


def plan(suite: Suite, generator: Generator) -> list[Case]:
    """The cases of a run. Raises SuiteError for shapes that the generator cannot make, with the nearest it can."""
    problems = []
    if suite.axes is not None:
        sizes = [(c.width or 0, c.height or 0, c.num_frames or 0) for c in suite.cases]
        problems += [f"[axes].{p}" for p in shape_problems(sizes, generator.capabilities)]
    if suite.throughput is not None:
        problems += [f"[throughput].{p}" for p in shape_problems(suite.throughput.sizes, generator.capabilities)]
    if problems:
        raise SuiteError("\n".join(f"{suite.path}: {p}" for p in problems))
    if suite.axes is not None or not suite.metrics:
        return suite.cases
    if not isinstance(generator, ClipSource):
        raise SuiteError(
            f"{suite.path} has no [prompts]: it scores clips that exist, and {generator.name!r} makes clips; "
            "use --generator folder:PATH"
        )
    return generator.cases()


def stages(work: Work, cases: list[Case]) -> None:
    """Generate, score and summarise these cases of a run; what is on disk already is left as it is."""
    folder, suite, generator = work.folder, work.suite, work.generator
    if not isinstance(generator, ClipSource) or suite.axes is not None:
        generate(folder, suite, generator, cases, folder.head.get("seed_offset", 0))
    if suite.metrics:
        score(folder, suite, cases, generator if isinstance(generator, ClipSource) else None, work.workers)
        score_floors(folder, suite, cases)
    if suite.throughput is not None and not isinstance(generator, ClipSource):
        sweep(folder, suite, generator)
    summarise(folder, suite, cases)


@contextmanager
def ending(folder: RunFolder) -> Iterator[None]:
    """However the work inside ends, run.json says so."""
    try:
        yield
    except KeyboardInterrupt:
        folder.update_head(status="cancelled", finished=now())
        raise
    except OSError as error:
        raise RunError(f"{folder.path} cannot be written: {error}; mend it, then 'sora-eval run --resume'") from error
    except Exception as error:
        folder.update_head(status="error", error=str(error), finished=now())
        raise
    folder.update_head(status="success", finished=now())


def sweep(folder: RunFolder, suite: Suite, generator: Generator) -> None:
    """Time the points that have not been timed yet; a point's repeats are appended together."""
    done = {row["id"] for row in folder.rows("timings")}
    timed = LocalGenerator(generator, folder.head["generator"]["spec"])
    for (rows,) in track(timing.measure(suite, [timed], done), "throughput", len(timing.plan(suite, [timed])[0])):
        folder.append("timings", rows)
