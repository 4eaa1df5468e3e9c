"""An ordered map over worker processes, each with its own state."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

from sora_eval.features.device import device, use
from sora_eval.util.errors import RunError
from sora_eval.util.processes import begin_worker, how_it_ended, session_threads

S = TypeVar("S")
R = TypeVar("R")

_state: Any = None  # of a worker process; never set in the parent


class Workers(Generic[S]):
    """`number` processes, each with a state made by `make()`; a single worker is the current process.

    With several, `make`, functions, jobs and results must be picklable, and the threads of Torch and OpenCV are divided among
    the processes; those of ONNX Runtime sessions are not (`util.processes.session_threads`).
    """

    def __init__(self, make: Callable[[], S], number: int = 1) -> None:
        self._number = number
        self._own = make() if number == 1 else None
        self._pool: ProcessPoolExecutor | None = None
        if number > 1:
            import torch

            threads = torch.get_num_threads()
            context = multiprocessing.get_context("spawn")  # forking a process with threads can hang it
            self._others = set(multiprocessing.active_children())
            self._processes = set[BaseProcess]()
            self._pool = ProcessPoolExecutor(
                number, context, _start, (make, max(threads // number, 1), session_threads(), device())
            )

    def map(self, function: Callable[..., R], jobs: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """`function(state, *job)` of every job, in the order of the jobs, at most 2 x `number` pending at a time.

        Raises RunError that says how a worker died; exceptions of the function are raised here.

        >>> with Workers(lambda: 10) as workers:
        ...     list(workers.map(lambda state, x: state + x, [(1,), (2,)]))
        [11, 12]
        """
        if self._pool is None:
            yield from (function(self._own, *job) for job in jobs)
            return
        pending: deque[Future[R]] = deque()
        try:
            for job in jobs:
                pending.append(self._pool.submit(_call, function, job))
                self._processes |= set(multiprocessing.active_children()) - self._others  # the pool starts them one by one
                if len(pending) >= 2 * self._number:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            ended = how_it_ended(self._first_exit_code())
            raise RunError(f"a scoring worker {ended}; resume with 'sora-eval run --resume' and fewer --workers") from error
        finally:
            for future in pending:
                future.cancel()

    def _first_exit_code(self) -> int | None:
        """The exit code of the worker that broke the pool; the pool ends the others with SIGTERM."""
        assert self._pool is not None
        self._pool.shutdown(wait=True, cancel_futures=True)
        codes = [process.exitcode for process in self._processes if process.exitcode]
        return next((code for code in codes if code != -signal.SIGTERM), codes[0] if codes else None)

    def __enter__(self) -> Workers[S]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _start(make: Callable[[], Any], threads: int, of_sessions: int, where: str) -> None:
    import cv2
    import torch

    begin_worker(of_sessions)  # the parent stops the run and reports it once
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    use(where)
    global _state  # noqa: PLW0603
    _state = make()


def _call(function: Callable[..., R], job: tuple[Any, ...]) -> R:
    return function(_state, *job)
