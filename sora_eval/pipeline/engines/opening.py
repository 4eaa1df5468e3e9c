"""The engine that is asked for, and what it has to be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from sora_eval.pipeline.engines.options import EngineOptions

if TYPE_CHECKING:
    from sora_eval.pipeline.engines.crew import Worker
    from sora_eval.pipeline.engines.worker import Setup, State


class Engine(Protocol):
    """What starts workers."""

    options: EngineOptions

    def start(self, make_state: Callable[[], State], setup: Setup, *, gpus: float) -> Worker:
        """A new worker, whose state `make_state()` opens; it takes `gpus` of the GPUs, where the engine counts them."""
        ...

    def check_room(self, gpus: Sequence[float]) -> None:
        """Raises RunError where workers that take so many GPUs each cannot all be had."""
        ...

    def scorers_per_machine(self) -> int:
        """How many scorers share the cores of a machine."""
        ...

    def close(self) -> None:
        """Give back what the engine itself holds."""
        ...


@contextmanager
def engine_of(options: EngineOptions | None) -> Iterator[Engine | None]:
    """The engine that is asked for, until the end of the work inside; None for none. Raises RunError where it is not there."""
    if options is None:
        yield None
        return
    engine: Engine
    if options.name == "ray":
        from sora_eval.pipeline.engines.ray import RayEngine

        engine = RayEngine(options)
    else:
        from sora_eval.pipeline.engines.local import LocalEngine

        engine = LocalEngine(options)
    try:
        yield engine
    finally:
        engine.close()
