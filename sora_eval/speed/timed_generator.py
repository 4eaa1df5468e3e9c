"""One side of a speed measurement: a generator whose calls are timed, in this process or in one of its own.

Two generators that are compared never share a process: the threads of ONNX Runtime spin between kernels and take the cores
from torch beside it.
"""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from sora_eval.generators.asking import problem_of, reason_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import AS_A_BATCH, Capabilities, Generator
from sora_eval.records.request import Request
from sora_eval.util.environment import peak_bytes, reset_peak
from sora_eval.util.errors import GeneratorError, SoraEvalError


@dataclass(frozen=True)
class Call:
    """One timed call: wall seconds, the generator's own stages (sums over its clips), and the peak bytes of the process."""

    seconds: float | None
    stages: dict[str, float]
    bytes: int
    reason: str = ""


@dataclass(frozen=True)
class Facts:
    """Who is timed and where it runs; `where` has device, provider, threads and the settings that its spec fixes."""

    spec: str
    name: str
    checkpoint: str
    fingerprint: str
    capabilities: Capabilities
    packings: tuple[str, ...]
    where: dict[str, Any]
    open_seconds: float


class Arm(Protocol):
    """What is timed."""

    facts: Facts

    def call(self, requests: Sequence[Request], packing: str) -> Call: ...

    def tokens(self, requests: Sequence[Request]) -> int | None: ...

    def flops(self, requests: Sequence[Request], packing: str) -> dict[str, int] | None: ...


def timed(generator: Generator, requests: Sequence[Request], packing: str = AS_A_BATCH) -> Call:
    """One call. The device is synchronised before the clock starts and before it stops, never in between."""
    reset_peak()
    try:
        generator.synchronise()
        started = time.perf_counter()
        clips = list(generator.serve(requests, packing))
        generator.synchronise()
        seconds = time.perf_counter() - started
    except Exception as error:  # a user's generator may raise anything: it becomes the row's reason
        return Call(None, {}, peak_bytes(), reason_of(error))
    if len(clips) != len(requests):
        return Call(None, {}, peak_bytes(), f"the generator returned {len(clips)} clips, expected {len(requests)}")
    problem = next((p for c, r in zip(clips, requests, strict=True) if (p := problem_of(c, r))), "")
    if problem:
        return Call(None, {}, peak_bytes(), problem)
    stages: dict[str, float] = {}
    for clip in clips:
        for stage, value in clip.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + value
    return Call(seconds, stages, peak_bytes())


class LocalArm:
    """A generator in this process."""

    def __init__(self, generator: Generator, spec: str = "", open_seconds: float = 0.0) -> None:
        self.generator = generator
        self.facts = Facts(
            spec,
            generator.name,
            generator.checkpoint,
            generator.fingerprint(),
            generator.capabilities,
            generator.packings,
            generator.where,
            open_seconds,
        )

    @staticmethod
    def open(spec: str) -> LocalArm:
        """Raises GeneratorError or WeightsError."""
        started = time.perf_counter()
        generator = open_generator(spec)
        return LocalArm(generator, spec, time.perf_counter() - started)

    def call(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> Call:
        return timed(self.generator, requests, packing)

    def tokens(self, requests: Sequence[Request]) -> int | None:
        counts = [self.generator.tokens(r) for r in requests]
        return None if None in counts else sum(n for n in counts if n is not None)

    def flops(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> dict[str, int] | None:
        return self.generator.flops(requests, packing)

    def bare(self, requests: Sequence[Request], count: int) -> float:
        """Seconds of `count` calls in a loop with nothing around them: what the harness's own cost is measured against."""
        started = time.perf_counter()
        for _ in range(count):
            self.generator.generate(requests)
        return time.perf_counter() - started

    def looped(self, requests: Sequence[Request], count: int) -> float:
        """Seconds of the same calls as the harness makes them."""
        started = time.perf_counter()
        for _ in range(count):
            self.call(requests)
        return time.perf_counter() - started


class WorkerArm:
    """A generator in a process of its own. When that dies, the call that killed it has a reason and the next starts anew."""

    facts: Facts

    def __init__(self, spec: str) -> None:
        self._spec = spec
        self._start()

    def _start(self) -> None:
        context = mp.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._spec), daemon=True)
        self._process.start()
        theirs.close()
        try:
            kind, value = self._pipe.recv()
        except EOFError:
            raise GeneratorError(f"{self._spec}: its process ended before the generator was open") from None
        if kind == "error":
            raise GeneratorError(value)
        self.facts = value

    def _ask(self, method: str, *arguments: Any) -> Any:
        if not self._process.is_alive():
            self._start()
        self._pipe.send((method, arguments))
        kind, value = self._pipe.recv()
        if kind == "error":
            raise GeneratorError(value)
        return value

    def call(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> Call:
        try:
            done: Call = self._ask("call", requests, packing)
        except (EOFError, OSError):
            self._process.join()
            return Call(None, {}, 0, f"the process of {self._spec} ended with {self._process.exitcode}; out of memory?")
        return done

    def tokens(self, requests: Sequence[Request]) -> int | None:
        count: int | None = self._ask("tokens", requests)
        return count

    def flops(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> dict[str, int] | None:
        found: dict[str, int] | None = self._ask("flops", requests, packing)
        return found

    def bare(self, requests: Sequence[Request], count: int) -> float:
        return float(self._ask("bare", requests, count))

    def looped(self, requests: Sequence[Request], count: int) -> float:
        return float(self._ask("looped", requests, count))

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()


def _serve(pipe: Connection, spec: str) -> None:
    """The worker: opens the generator, then answers (method, arguments) until the pipe is closed."""
    try:
        arm = LocalArm.open(spec)
    except SoraEvalError as error:
        pipe.send(("error", str(error)))
        return
    except Exception as error:
        pipe.send(("error", f"{spec}: {reason_of(error)}"))
        return
    pipe.send(("ok", arm.facts))
    while True:
        try:
            method, arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            pipe.send(("ok", getattr(arm, method)(*arguments)))
        except Exception as error:
            pipe.send(("error", f"{spec}: {reason_of(error)}"))
