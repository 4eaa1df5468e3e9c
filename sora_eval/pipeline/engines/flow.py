"""A run by an engine: clips are scored while the next ones are generated, and only the driver writes rows."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sora_eval.features.device import CPU, device
from sora_eval.generators.asking import seed_of
from sora_eval.generators.opening import parts_of
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.pipeline.again import in_plan_order
from sora_eval.pipeline.engines.crew import Crew, Lost, Task, finished
from sora_eval.pipeline.engines.opening import Engine
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.engines.worker import GeneratorState, Place, ScorerState, Setup, State
from sora_eval.pipeline.generate import Answer, Answers, Chunk, chunks_of, sample_row
from sora_eval.pipeline.score import Scoring
from sora_eval.pipeline.score_clip import ReferenceResult
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import Suite
from sora_eval.util.errors import RunError
from sora_eval.util.files import replacing
from sora_eval.util.processes import session_threads
from sora_eval.util.progress import track

AHEAD = 2  # clips per scorer that wait before generating pauses


def gpus_of(options: EngineOptions, spec: str) -> tuple[float, float]:
    """The GPUs that a generator and a scorer take of a cluster: what was asked for, a whole one where the spec says `cuda`; and
    of networks on a GPU at most one, or as small a share as a generator's."""
    on_gpu = parts_of(spec).get("device", CPU).startswith("cuda")
    generator = options.gpus_per_generator if options.gpus_per_generator is not None else float(on_gpu)
    return generator, 0.0 if device() == CPU else min(options.gpus_per_generator or 1.0, 1.0)


class Flow:
    """One run of an engine, from the cases of its plan to all rows of samples and scores and all vectors."""

    def __init__(
        self, engine: Engine, folder: RunFolder, suite: Suite, generator: Generator, spec: str, cases: list[Case], give_up: int
    ) -> None:
        self._engine, self._folder, self._suite, self._cases = engine, folder, suite, cases
        self._generator, self._spec = generator, spec
        self._source = generator if isinstance(generator, ClipSource) else None
        self._seed_offset = folder.head.seed_offset
        generates = self._source is None or suite.axes is not None
        self._answers = Answers(folder, generator, cases, give_up) if generates else None
        self._scoring = Scoring(folder, suite, cases, self._source) if suite.metrics else None
        self._protocols: dict[str, str] | None = None
        self._networks: dict[str, set[str]] = {}

    def run(self) -> None:
        """Generate and score what is missing. Raises as `generate` and `score` do, and RunError where workers cannot be had."""
        chunks = self._chunks()
        crews: list[Crew] = []
        done = False
        options = self._engine.options
        of_generator, of_scorer = gpus_of(options, self._spec)
        each = [of_generator] * (options.generators if chunks else 0) + [of_scorer] * (options.scorers if self._scoring else 0)
        self._engine.check_room(each)
        try:
            generators = self._crew("generator", self._engine.options.generators, crews) if chunks else None
            scorers = self._crew("scorer", self._engine.options.scorers, crews) if self._scoring else None
            total = len(self._cases) if scorers else sum(len(task.subject.missing) for task in chunks)
            for _ in track(self._cases_done(chunks, generators, scorers), "generate and score" if chunks else "score", total):
                pass
            if self._answers is not None:
                in_plan_order(self._folder, SampleRow, self._cases)
            if self._scoring is not None and scorers is not None:
                self._folder.update_head(networks={key: ", ".join(sorted(v)) for key, v in self._networks.items()})
                self._scoring.end(partial(self._reference, scorers))
            done = True
        finally:
            for crew in crews:
                crew.close(now=not done)

    def _crew(self, what: str, number: int, crews: list[Crew]) -> Crew:
        """The workers of one kind, which start at once."""
        import torch

        options, path = self._engine.options, self._folder.path.resolve()
        threads, sessions = torch.get_num_threads(), session_threads()
        gpus = gpus_of(options, self._spec)[what == "scorer"]
        make_state: Callable[[], State]
        if what == "generator":  # with all threads: fewer would change the last digits of a network's clips
            fingerprint = self._folder.head.generator.fingerprint
            make_state = partial(GeneratorState, self._spec, self._suite, path, self._seed_offset, fingerprint)
        else:
            assert self._scoring is not None
            threads = max(threads // self._engine.scorers_per_machine(), 1)
            make_state = partial(ScorerState, path, self._suite, self._scoring.prompts, self._source, self._seed_offset)
        setup = Setup(threads, sessions, device(), str(Path.cwd()), tuple(os.path.abspath(entry) for entry in sys.path))
        crew = Crew(
            what,
            number,
            partial(self._engine.start, make_state, setup, gpus=gpus),
            retries=options.retries,
            case_timeout=options.case_timeout,
            check=self._check if what == "scorer" else lambda _place: None,
        )
        crews.append(crew)
        return crew

    def _check(self, place: Place) -> None:
        """Raises RunError for a scorer of other protocols or weights than the first one."""
        for key, value in place.networks.items():
            self._networks.setdefault(key, set()).add(value)
        self._protocols = place.protocols if self._protocols is None else self._protocols
        for name, signature in self._protocols.items():
            if place.protocols.get(name) != signature:
                raise RunError(
                    f"two scorers have unlike {name}: {signature} against {place.protocols.get(name)}; give every machine the "
                    "same code and weights"
                )

    def _chunks(self) -> deque[Task]:
        """The calls of generators that are left."""
        if self._answers is None:
            return deque()
        return deque(_chunk_task(c) for c in chunks_of(self._cases, self._answers.existing, self._generator))

    def _cases_done(self, chunks: deque[Task], generators: Crew | None, scorers: Crew | None) -> Iterator[Case]:
        """Each case when its rows are written: of its score, or without metrics of its clip."""
        made: deque[Task] = deque()
        missing = {i for task in chunks for i in task.subject.missing}
        before = deque(self._score_task(case) for case in self._cases if case.id not in missing) if scorers else deque()
        crews = [crew for crew in (generators, scorers) if crew is not None]
        while chunks or made or before or any(crew.busy for crew in crews):
            while generators is not None and generators.free > 0 and chunks and self._room(made):
                generators.begin(chunks.popleft())
            while scorers is not None and scorers.free > 0 and (made or before):
                scorers.begin((made or before).popleft())
            if generators is not None and not chunks and not generators.busy:
                crews.remove(generators)
                generators.close(now=False)  # scoring may need the memory that they hold
                generators = None
                continue
            for crew, task, result in finished(crews):
                if crew is scorers:
                    self._add_score(task.subject[0], task.subject[1], result)
                    yield task.subject[0]
                    continue
                for case, row in self._add_answers(task.subject, result):
                    if scorers is not None:
                        made.append(self._score_task(case, row))
                    else:
                        yield case

    def _room(self, made: deque[Task]) -> bool:
        return len(made) < AHEAD * self._engine.options.scorers

    def _add_answers(self, chunk: Chunk, result: Any) -> Iterator[tuple[Case, SampleRow]]:
        """Write the rows of a chunk, and the clips that did not come by the run folder."""
        assert self._answers is not None
        if isinstance(result, Lost):
            seeds = [(case, seed_of(case, self._seed_offset)) for case in chunk.asked if case.id in chunk.missing]
            result = [(Answer(case, sample_row(case, None, "", str(result), seed)), None) for case, seed in seeds]
        for answer, content in result:
            if content is not None:
                with replacing(self._folder.path / answer.row.clip) as partial_file:
                    partial_file.write_bytes(content)
            self._answers.add(answer)
            yield answer.case, answer.row

    def _score_task(self, case: Case, sample: SampleRow | None = None) -> Task:
        """The task of a clip, whose file goes along where the scorer does not see the run folder."""
        assert self._scoring is not None
        job = self._scoring.job(case, sample)

        def arguments(place: Place) -> tuple[Any, ...]:
            row = job[1]
            inside = not place.shares_folder and row is not None and row.status == "ok" and self._answers is not None
            path = self._folder.path / row.clip if inside and row is not None else None
            return (*job, path.read_bytes() if path is not None and path.is_file() else None)

        return Task(ScorerState.case, arguments, job)

    def _add_score(self, case: Case, sample: SampleRow | None, result: Any) -> None:
        """Write the rows of a clip, or why no scorer has made them."""
        assert self._scoring is not None
        if isinstance(result, Lost):
            if case.id in self._scoring.scored:
                raise RunError(f"{case.id}: {result}, and a set metric lacks its vector; then use --resume")
            result = self._scoring.scorer().lost(case, sample, str(result))
        self._scoring.add(case, result)

    def _reference(self, scorers: Crew, clips: Iterable[tuple[Case, Clip | str]]) -> Iterator[tuple[Case, ReferenceResult]]:
        """The results of reference clips, in their order."""
        left, open_tasks = iter(clips), deque[Task]()
        results: dict[Task, Any] = {}
        ended = False
        while open_tasks or not ended:
            while not ended and scorers.free > 0 and len(open_tasks) < (AHEAD + 1) * self._engine.options.scorers:
                clip = next(left, None)
                if clip is None:
                    ended = True
                    break
                open_tasks.append(Task(ScorerState.reference, lambda _place, clip=clip: clip, clip))  # type: ignore[misc]
                scorers.begin(open_tasks[-1])
            if open_tasks or not ended:
                results.update((task, result) for _, task, result in finished([scorers]))
            while open_tasks and open_tasks[0] in results:
                task = open_tasks.popleft()
                result = results.pop(task)
                case = task.subject[0]
                yield (case, ReferenceResult({}, (f"{case.id}: {result}",))) if isinstance(result, Lost) else result


def _chunk_task(chunk: Chunk) -> Task:
    cases = [case for case in chunk.asked if case.id in chunk.missing]
    alone = [Chunk((case,), frozenset({case.id})) for case in cases] if len(cases) > 1 else []
    return Task(GeneratorState.chunk, lambda _place: (chunk,), chunk, len(chunk.asked), [_chunk_task(c) for c in alone])
