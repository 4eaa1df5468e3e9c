"""Where the time of scoring goes: seconds by stage and by metric, counted while they are asked for.

A stage counts the time that is its own: what an inner stage takes is not the outer one's. The count is of one thread that does
one thing after the other, so scoring that is counted begins nothing beside it. What work in threads hides is measured apart:
how long, while everything runs as always, at least one thread is in some of the stages.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

OTHER = "other"
NEEDED = ("network", "flow", "tracks")  # what metrics are made of; the rest is on the way
ALL = "all metrics"  # what asks for what they share: the clip itself, and its rows


@dataclass
class Seconds:
    """Wall time and processor time, of all threads of the process, in s."""

    wall: float = 0.0
    processor: float = 0.0


@dataclass
class Stages:
    """Seconds by (what asked for it, stage): a metric, `ALL`, or '' for what is before and after the clips."""

    seconds: dict[tuple[str, str], Seconds] = field(default_factory=dict)
    _open: list[str] = field(default_factory=lambda: [OTHER])
    _metric: str = ""
    _wall: float = field(default_factory=time.perf_counter)
    _processor: float = field(default_factory=time.process_time)

    def of(self, metric: str, name: str, *, processor: bool = False) -> float:
        """Seconds of a stage that a metric asked for, by the clock or of the processor."""
        own = self.seconds.get((metric, name), Seconds())
        return own.processor if processor else own.wall

    def switch(self) -> None:
        """Add the time since the last switch to the stage that is open."""
        wall, processor = time.perf_counter(), time.process_time()
        own = self.seconds.setdefault((self._metric, self._open[-1]), Seconds())
        own.wall += wall - self._wall
        own.processor += processor - self._processor
        self._wall, self._processor = wall, processor

    def enter(self, name: str) -> None:
        """A stage begins inside the one that is open."""
        self.switch()
        self._open.append(name)

    def leave(self, _: str) -> None:
        """The stage that is open ends."""
        self.switch()
        self._open.pop()

    def ask(self, metric: str) -> str:
        """From now on `metric` is what asks. Returns what did before."""
        self.switch()
        before, self._metric = self._metric, metric
        return before


class Cover:
    """How long at least one thread is in one of the stages `names`: seconds by the clock `covered`, of the `whole` from the
    first time that something is asked for to the end of the last."""

    def __init__(self, names: Collection[str]) -> None:
        self.names, self.covered, self._open, self._since = frozenset(names), 0.0, 0, 0.0
        self._lock = Lock()
        self._began: float | None = None
        self._ended = 0.0

    @property
    def whole(self) -> float:
        return self._ended - self._began if self._began is not None else 0.0

    def enter(self, name: str) -> None:
        """A thread begins a stage."""
        if name in self.names:
            with self._lock:
                if not self._open:
                    self._since = time.perf_counter()
                self._open += 1

    def leave(self, name: str) -> None:
        """A thread ends a stage."""
        if name in self.names:
            with self._lock:
                self._open -= 1
                if not self._open:
                    self.covered += time.perf_counter() - self._since

    def ask(self, metric: str) -> str:
        """Something is asked for, or was."""
        self._ended = time.perf_counter()
        self._began = self._ended if self._began is None else self._began
        return metric


_counted: Stages | Cover | None = None
T = TypeVar("T", Stages, Cover)


@contextmanager
def counting() -> Iterator[Stages]:
    """Count the stages that run inside, in the thread that is inside."""
    with _measured_by(Stages()) as stages:
        yield stages
        stages.switch()


@contextmanager
def covering(names: Collection[str]) -> Iterator[Cover]:
    """Measure how long stages of these names run, in any thread of this process."""
    with _measured_by(Cover(names)) as cover:
        yield cover


@contextmanager
def _measured_by(measure: T) -> Iterator[T]:
    global _counted  # noqa: PLW0603
    before, _counted = _counted, measure
    try:
        yield measure
    finally:
        _counted = before


def is_counting() -> bool:
    """Whether stages are counted: then nothing runs beside them."""
    return isinstance(_counted, Stages)


def is_measured() -> bool:
    """Whether the time of stages is measured in any way: then features are computed, not read."""
    return _counted is not None


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What runs inside is a stage: decode, resize, network, flow, tracks. Costs nothing worth a name while none is counted."""
    if (measure := _counted) is None:
        yield
        return
    measure.enter(name)
    try:
        yield
    finally:
        measure.leave(name)


@contextmanager
def asked_by(metric: str) -> Iterator[None]:
    """What runs inside is for a metric."""
    if (measure := _counted) is None:
        yield
        return
    before = measure.ask(metric)
    try:
        yield
    finally:
        measure.ask(before)
