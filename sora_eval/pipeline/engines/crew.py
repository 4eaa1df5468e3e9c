"""The workers of one kind. A task whose worker is lost, or does not answer in time, is tried again on another one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sora_eval.util.errors import RunError

if TYPE_CHECKING:
    from sora_eval.pipeline.engines.worker import Place

MOST_LOST_STARTS = 3  # in a row, of workers that end before they are open
MOST_SECONDS_TO_START = 1800.0  # of the first open worker: weights may have to be fetched, a cluster may have to grow


class Lost(Exception):
    """A worker is gone, or was ended; the message says how."""


class Worker(Protocol):
    """One worker of an engine, which does one thing at a time."""

    opening: Future[Place]

    def submit(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Future[Any]:
        """Begin `function(state, *job)`; a worker that is gone fails the future."""
        ...

    def result(self, future: Future[Any]) -> Any:
        """The result of one of its futures that is done. Raises Lost where the worker is, and what the function raised."""
        ...

    def stop(self, *, now: bool) -> None:
        """End the worker: after what it does, or `now`."""
        ...


@dataclass(eq=False)
class Task:
    """`function(state, *job(place))` for some `cases`; `parts` of it are tried one by one in the last attempt, so that one case
    does not fail the others."""

    function: Callable[..., Any]
    job: Callable[[Place], tuple[Any, ...]]
    subject: Any
    cases: int = 1
    parts: Sequence[Task] = ()
    tries: int = 0


@dataclass(frozen=True)
class _Running:
    worker: Worker
    place: Place
    task: Task
    deadline: float | None


class Crew:
    """`number` workers, each started by `start()`. `check(place)` may refuse one that is open."""

    def __init__(
        self,
        what: str,
        number: int,
        start: Callable[[], Worker],
        *,
        retries: int,
        case_timeout: float | None,
        check: Callable[[Place], None] = lambda _place: None,
    ) -> None:
        self._what, self._start, self._check = what, start, check
        self._retries, self._case_timeout = retries, case_timeout
        self._idle: list[tuple[Worker, Place]] = []
        self._running: dict[Future[Any], _Running] = {}
        self._again: deque[Task] = deque()
        self._lost_starts, self._deadline = 0, time.monotonic() + MOST_SECONDS_TO_START
        self._opening: dict[Future[Place], Worker] = {}
        try:
            for _ in range(number):
                self._open()
        except BaseException:
            self.close(now=True)
            raise

    @property
    def free(self) -> int:
        """How many tasks can begin now."""
        return len(self._idle) - len(self._again)

    @property
    def busy(self) -> bool:
        """Whether a task has begun and has no result yet."""
        return bool(self._running or self._again)

    @property
    def futures(self) -> list[Future[Any]]:
        """What can be waited for."""
        return [*self._opening, *self._running]

    @property
    def deadline(self) -> float | None:
        """The time, of `time.monotonic`, at which something is late."""
        deadlines = [r.deadline for r in self._running.values() if r.deadline is not None]
        starts = [self._deadline] if not (self._idle or self._running) else []
        return min([*deadlines, *starts], default=None)

    def begin(self, task: Task) -> None:
        """Give a task to a worker that is free."""
        worker, place = self._idle.pop()
        task.tries += 1
        deadline = None if self._case_timeout is None else time.monotonic() + task.cases * self._case_timeout
        self._running[worker.submit(task.function, task.job(place))] = _Running(worker, place, task, deadline)

    def settle(self, done: set[Future[Any]]) -> Iterator[tuple[Task, Any]]:
        """The tasks that have ended, each with its result, or with Lost where it was tried often enough.

        Raises RunError where workers end before they are open, or none opens in time, and what a task raised.
        """
        for opening in done & self._opening.keys():
            self._opened(self._opening.pop(opening), opening)
        for future in done & self._running.keys():
            running = self._running.pop(future)
            try:
                result = running.worker.result(future)
            except Lost as lost:
                yield from self._retry(running, lost)
                continue
            self._idle.append((running.worker, running.place))
            yield running.task, result
        now = time.monotonic()
        for future, running in list(self._running.items()):
            if running.deadline is not None and running.deadline <= now and not future.done():
                del self._running[future]
                seconds = f"{self._case_timeout:g} s" + (f" for each of {running.task.cases} cases" * (running.task.cases > 1))
                yield from self._retry(running, Lost(f"did not answer within {seconds} (--case-timeout)"))
        if not (self._idle or self._running) and now >= self._deadline:
            raise RunError(
                f"no {self._what} is open after {MOST_SECONDS_TO_START:g} s: there is no room for one; then use --resume"
            )
        while self._again and self._idle:
            self.begin(self._again.popleft())

    def _open(self) -> None:
        if not (self._idle or self._running):
            self._deadline = time.monotonic() + MOST_SECONDS_TO_START
        worker = self._start()
        self._opening[worker.opening] = worker

    def _opened(self, worker: Worker, opening: Future[Place]) -> None:
        try:
            place = worker.result(opening)
            self._check(place)
        except Lost as lost:
            worker.stop(now=True)
            self._lost_starts += 1
            if self._lost_starts >= MOST_LOST_STARTS:
                raise RunError(f"a {self._what} {lost}, before it was open; {self._lost_starts} times") from None
            self._open()
            return
        except BaseException:
            worker.stop(now=True)
            raise
        self._lost_starts = 0
        self._idle.append((worker, place))

    def _retry(self, running: _Running, lost: Lost) -> Iterator[tuple[Task, Any]]:
        """Start another worker, and let it try the task, or give the task back with its end."""
        running.worker.stop(now=True)
        self._open()
        task = running.task
        if task.tries > self._retries:
            times = f"; tried {task.tries} times" * (task.tries > 1)
            yield task, Lost(f"a {self._what} {lost}{times}")
        elif task.tries == self._retries and task.parts:
            for part in task.parts:
                part.tries = task.tries
                self._again.append(part)
        else:
            self._again.append(task)

    def close(self, *, now: bool) -> None:
        """End all workers: those that are idle after what they hold is given back, or all `now`."""
        for worker, _ in self._idle:
            worker.stop(now=now)
        for running in self._running.values():
            running.worker.stop(now=True)
        for worker in self._opening.values():
            worker.stop(now=True)
        self._idle, self._running, self._opening = [], {}, {}


def finished(crews: Sequence[Crew]) -> Iterator[tuple[Crew, Task, Any]]:
    """Wait until something happens, and give the tasks that have ended. Raises as `Crew.settle`."""
    deadlines = [crew.deadline for crew in crews if crew.deadline is not None]
    seconds = max(min(deadlines) - time.monotonic(), 0.0) if deadlines else None
    done = set(wait([future for crew in crews for future in crew.futures], seconds, FIRST_COMPLETED).done)
    for crew in crews:
        for task, result in crew.settle(done):
            yield crew, task, result
