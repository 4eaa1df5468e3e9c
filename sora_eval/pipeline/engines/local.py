"""Engine `local`: each worker is a process of this machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from sora_eval.pipeline.engines.crew import Lost
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.engines.worker import Holder, Place, Setup, State
from sora_eval.util.processes import begin_worker, how_it_ended

GRACE = 5.0  # seconds for an idle worker to give back what it holds


class LocalEngine:
    """Starts processes."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options

    def start(self, make_state: Callable[[], State], setup: Setup, *, gpus: float) -> LocalWorker:
        """A new process, which opens its state. The devices are those that spec and options name, whatever their `gpus`."""
        return LocalWorker(make_state, setup)

    def check_room(self, gpus: Sequence[float]) -> None:
        """Processes share the devices."""

    def scorers_per_machine(self) -> int:
        """How many scorers share the cores of a machine."""
        return self.options.scorers

    def close(self) -> None:
        """Nothing outlives the processes."""


class LocalWorker:
    """A pool of one process, so that its end is that of one worker."""

    def __init__(self, make_state: Callable[[], State], setup: Setup) -> None:
        others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")  # forking a process with threads can hang it
        self._pool = ProcessPoolExecutor(1, context, begin_worker)
        self.opening: Future[Place] = self._pool.submit(_open, make_state, setup)
        self._process = next((p for p in multiprocessing.active_children() if p not in others), None)

    def submit(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Future[Any]:
        try:
            return self._pool.submit(_call, function, job)
        except BrokenProcessPool as error:  # it ended while it was idle
            failed = Future[Any]()
            failed.set_exception(error)
            return failed

    def result(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except BrokenProcessPool:
            self._pool.shutdown()
            raise Lost(how_it_ended(self._process.exitcode if self._process else None)) from None

    def stop(self, *, now: bool) -> None:
        if not now:
            try:
                self._pool.submit(_close).exception(GRACE)
            except (TimeoutError, BrokenProcessPool):
                now = True
        if now and self._process is not None:
            self._process.kill()
        self._pool.shutdown()


_holder = Holder()  # of a worker process; never used in the parent


def _open(make_state: Callable[[], State], setup: Setup) -> Place:
    return _holder.open(make_state, setup)


def _call(function: Callable[..., Any], job: tuple[Any, ...]) -> Any:
    return _holder.call(function, job)


def _close() -> None:
    _holder.close()
