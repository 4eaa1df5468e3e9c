"""Where the time of scoring goes: seconds by stage and by metric, counted while they are asked for.

A stage counts the time that is its own: what an inner stage takes is not the outer one's. The count is of one thread that does
one thing after the other, so scoring that is measured begins nothing beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OTHER = "other"
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

    def leave(self) -> None:
        """The stage that is open ends."""
        self.switch()
        self._open.pop()

    def ask(self, metric: str) -> str:
        """From now on `metric` is what asks. Returns what did before."""
        self.switch()
        before, self._metric = self._metric, metric
        return before


_counted: Stages | None = None


@contextmanager
def counting() -> Iterator[Stages]:
    """Count the stages that run inside, in the thread that is inside."""
    global _counted  # noqa: PLW0603
    before, _counted = _counted, Stages()
    try:
        yield _counted
        _counted.switch()
    finally:
        _counted = before


def is_counting() -> bool:
    """Whether stages are counted: then nothing runs beside them."""
    return _counted is not None


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What runs inside is a stage: decode, resize, network, flow, tracks. Costs nothing worth a name while none is counted."""
    if _counted is None:
        yield
        return
    _counted.enter(name)
    try:
        yield
    finally:
        _counted.leave()


@contextmanager
def asked_by(metric: str) -> Iterator[None]:
    """What runs inside is for a metric."""
    if _counted is None:
        yield
        return
    before = _counted.ask(metric)
    try:
        yield
    finally:
        _counted.ask(before)
