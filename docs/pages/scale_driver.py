"""What the driver of an engine does for a case, measured with workers that answer at once.

Their answers are those of a run that exists, and pass through pickle both ways as those of processes do; so all the time
is the driver's: its queues, the rows that it writes and flushes to the disk, and the end of the run.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from docs.pages.scale_material import SPECS
from sora_eval.pipeline.engines.crew import Crew, Task, finished
from sora_eval.pipeline.engines.flow import Flow
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.engines.worker import GeneratorState, Place, Setup, State
from sora_eval.pipeline.generate import Answer
from sora_eval.pipeline.run import begin
from sora_eval.pipeline.score_clip import ClipResult
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.util.files import append_lines, whole_lines
from sora_eval.util.progress import track

WAKES = 200  # of a crew whose workers answer one by one
HERE = Place(os.getpid(), True, {}, {})


@dataclass(frozen=True)
class DriverCost:
    """Seconds of the driver with so many generators and as many scorers: for a case while it is never idle (`busy`), and of one
    wake-up while one worker of `workers` has answered (`wake`). `flush` is that of a row that is flushed to the disk."""

    workers: int
    cases: int
    busy: float
    wake: float
    flush: float


class _Ready:
    """A worker that is open and answers at once."""

    def __init__(self, answer: Callable[[Callable[..., Any], tuple[Any, ...]], Any]) -> None:
        self.opening: Future[Place] = Future()
        self.opening.set_result(HERE)
        self._answer = answer

    def submit(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Future[Any]:
        """The answer, which has passed through pickle with its question."""
        future: Future[Any] = Future()
        asked, given = pickle.loads(pickle.dumps((function, job)))
        future.set_result(pickle.loads(pickle.dumps(self._answer(asked, given))))
        return future

    def result(self, future: Future[Any]) -> Any:
        return future.result()

    def stop(self, *, now: bool) -> None:
        """Nothing runs."""


class _ReadyEngine:
    """Workers that give the rows of a run that exists."""

    def __init__(self, options: EngineOptions, run: RunFolder) -> None:
        self.options = options
        self._samples = {row.id: row for row in run.rows(SampleRow)}
        self._scores: dict[str, list[ScoreRow]] = {}
        for row in run.rows(ScoreRow):
            self._scores.setdefault(row.id, []).append(row)

    def start(self, make_state: Callable[[], State], setup: Setup, *, gpus: float) -> _Ready:
        return _Ready(self._answer)

    def _answer(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Any:
        if function is GeneratorState.chunk:
            return [(Answer(case, self._samples[case.id]), None) for case in job[0].asked]
        return ClipResult(None, self._scores[job[0].id], {}, frozenset())

    def check_room(self, gpus: Sequence[float]) -> None:
        """There is room."""

    def scorers_per_machine(self) -> int:
        return self.options.scorers

    def close(self) -> None:
        """Nothing is held."""


def driver_costs(run: RunFolder, folder: Path, workers: Sequence[int]) -> list[DriverCost]:
    """The costs for each number of workers; those that driver.jsonl of `folder` has are not measured again."""
    store = folder / "driver.jsonl"
    known = {cost.workers: cost for cost in (DriverCost(**json.loads(line)) for line in whole_lines(store))}
    for number in track([n for n in workers if n not in known], "driver"):
        known[number] = driver_cost(run, folder / "driver", number)
        append_lines(store, json.dumps(asdict(known[number])) + "\n")
    return [known[number] for number in sorted(workers)]


def driver_cost(run: RunFolder, out: Path, workers: int) -> DriverCost:
    """The cost of a case of `run` with so many generators and as many scorers; the run that is made again goes to `out`."""
    work = begin(stored_suite(run), SPECS[0], out)
    engine = _ReadyEngine(EngineOptions("local", generators=workers, scorers=workers), run)
    try:
        start = time.perf_counter()
        Flow(engine, work.folder, work.suite, work.generator, work.spec, work.cases, work.give_up).run()
        busy = (time.perf_counter() - start) / len(work.cases)
    finally:
        work.folder.lock.release()
        work.generator.close()
    return DriverCost(workers, len(work.cases), busy, _wake(workers), _flush(out))


class _Waiting(_Ready):
    """A worker that answers when it is told to."""

    def submit(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Future[Any]:
        future: Future[Any] = Future()
        self._answer(lambda: future, ())
        return future


def _wake(workers: int) -> float:
    """Median seconds of the driver from one answer of `workers` that are all busy to the next task of that worker."""
    waiting: list[Future[Any]] = []

    def note(future: Callable[..., Any], _job: tuple[Any, ...]) -> None:
        waiting.append(future())

    crew = Crew("worker", workers, lambda: _Waiting(note), retries=0, case_timeout=None)
    tasks = iter(Task(len, lambda _place: ((),), number) for number in range(workers + WAKES + 1))
    while len(waiting) < workers:
        list(crew.settle(set(crew.futures)))
        while crew.free > 0:
            crew.begin(next(tasks))
    seconds = []
    for _ in range(WAKES):
        waiting.pop(0).set_result(None)
        start = time.perf_counter()
        assert [task for _, task, _ in finished([crew])]
        crew.begin(next(tasks))
        seconds.append(time.perf_counter() - start)
    crew.close(now=True)
    return float(np.median(seconds))


def _flush(folder: Path, times: int = 200) -> float:
    """Median seconds to append a row to a file and flush it to the disk."""
    path, seconds = folder / "flush.jsonl", []
    for _ in range(times):
        start = time.perf_counter()
        append_lines(path, "x" * 300 + "\n")
        seconds.append(time.perf_counter() - start)
    path.unlink()
    return float(np.median(seconds))
