"""A generator whose calls are timed, in this process or in one of its own.

Generators under comparison do not share a process: the threads of ONNX Runtime spin between kernels and take the cores from
torch.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from sora_eval.generators.asking import problem_of, wrong_number
from sora_eval.generators.identity import counts_of, identity_of, place_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import AS_A_BATCH, Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.speed.load import Load, Outcome, serve
from sora_eval.util.environment import peak_bytes, reset_peak
from sora_eval.util.errors import GeneratorError, SoraEvalError, Undefined, reason_of
from sora_eval.util.processes import begin_worker, how_it_ended
from sora_eval.util.user_code import UserCodeError, user_code

GRACE = 5.0  # seconds for a running call to end before its process is terminated


@dataclass(frozen=True)
class Call:
    """One timed call: wall seconds, seconds of the generator's own stages (sums over its clips), and peak bytes of the process.
    A failed call has a reason and no seconds."""

    seconds: float | None
    stages: dict[str, float]
    bytes: int
    reason: str = ""


@dataclass(frozen=True)
class GeneratorFacts:
    """The identity of a timed generator; `where` has device, provider, threads and settings of the spec."""

    spec: str
    name: str
    checkpoint: str
    fingerprint: str
    capabilities: Capabilities
    packings: tuple[str, ...]
    where: dict[str, Any]
    open_seconds: float
    not_covered: str = ""
    at_once: int = 1  # answers under way at once: of a service, as many as its spec says that it is asked for


class TimedGenerator(Protocol):
    """The generator of a sweep. A failed call is a `Call` with its reason; `tokens` and `flops` raise GeneratorError."""

    facts: GeneratorFacts

    def call(self, requests: Sequence[Request], packing: str) -> Call:
        """One timed call."""
        ...

    def tokens(self, requests: Sequence[Request]) -> int | None:
        """Tokens of all requests; None where the generator does not count them."""
        ...

    def flops(self, requests: Sequence[Request], packing: str) -> dict[str, int] | None:
        """Floating-point operations of one call by stage; None where the generator does not count them."""
        ...

    def serve(self, load: Load, folder: Path | None) -> list[Outcome]:
        """The outcomes of an open loop, as `speed.load.serve`. Raises GeneratorError where the process dies or cannot write."""
        ...


def time_call(generator: Generator, requests: Sequence[Request], packing: str = AS_A_BATCH) -> Call:
    """One call, timed. The device is synchronised before the clock starts and before it stops, never in between."""
    reset_peak()
    try:
        with user_code():
            generator.synchronise()
            started = time.perf_counter()
            clips = list(islice(generator.serve(requests, packing), len(requests) + 1))
            generator.synchronise()
            seconds = time.perf_counter() - started
    except (SoraEvalError, Undefined) as error:
        return Call(None, {}, peak_bytes(), reason_of(error))
    if reason := wrong_number(clips, requests):
        return Call(None, {}, peak_bytes(), reason)
    problem = next((p for c, r in zip(clips, requests, strict=True) if (p := problem_of(c, r))), "")
    if problem:
        return Call(None, {}, peak_bytes(), problem)
    stages: dict[str, float] = {}
    for clip in (c for c in clips if isinstance(c, Clip)):
        for stage, value in clip.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + value
    return Call(seconds, stages, peak_bytes())


class LocalGenerator:
    """A generator in this process."""

    def __init__(self, generator: Generator, spec: str = "", open_seconds: float = 0.0) -> None:
        self.generator = generator
        identity = identity_of(generator, spec or "the generator")
        self.facts = GeneratorFacts(
            spec,
            identity.name,
            identity.checkpoint,
            identity.fingerprint,
            generator.capabilities,
            generator.packings,
            place_of(generator, spec or "the generator"),
            open_seconds,
            identity.not_covered,
            generator.batch if generator.concurrent else 1,
        )

    @staticmethod
    def open(spec: str) -> LocalGenerator:
        """Open a generator and time that. Raises GeneratorError or WeightsError."""
        started = time.perf_counter()
        generator = open_generator(spec)
        return LocalGenerator(generator, spec, time.perf_counter() - started)

    def call(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> Call:
        return time_call(self.generator, requests, packing)

    def tokens(self, requests: Sequence[Request]) -> int | None:
        with _errors_of(f"{self.facts.spec}: tokens"):
            counts = [self.generator.tokens(r) for r in requests]
            return None if None in counts else sum(counts_of({str(i): n for i, n in enumerate(counts)}).values())

    def flops(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> dict[str, int] | None:
        with _errors_of(f"{self.facts.spec}: FLOPs"):
            by_stage = self.generator.flops(requests, packing)
            return None if by_stage is None else counts_of(by_stage)

    def serve(self, load: Load, folder: Path | None) -> list[Outcome]:
        with _errors_of(f"{self.facts.spec}: under load"):
            return serve(self.generator, load, folder)

    def bare_loop(self, requests: Sequence[Request], count: int) -> float:
        """Seconds of `count` calls of `generate` in a plain loop, the baseline of the harness's own cost."""
        started = time.perf_counter()
        for _ in range(count):
            self.generator.generate(requests)
        return time.perf_counter() - started

    def harness_loop(self, requests: Sequence[Request], count: int) -> float:
        """Seconds of `count` calls of `call`."""
        started = time.perf_counter()
        for _ in range(count):
            self.call(requests)
        return time.perf_counter() - started


class IsolatedGenerator:
    """A generator in its own process. Where the process dies, the call fails with the reason and the next call restarts it."""

    facts: GeneratorFacts

    def __init__(self, spec: str) -> None:
        """Raises SoraEvalError where the generator cannot be opened."""
        self._spec = spec
        self._start()

    def _start(self) -> None:
        others = set(multiprocessing.active_children())
        self._pool: ProcessPoolExecutor | None = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin_worker)
        opening = self._pool.submit(_open, self._spec)
        self._process: BaseProcess | None = next((p for p in multiprocessing.active_children() if p not in others), None)
        try:
            self.facts = opening.result()
        except BrokenProcessPool:
            raise GeneratorError(f"{self._ended()} before the generator was open") from None
        except BaseException:
            self.close()
            raise

    def _ended(self) -> str:
        """The end of the process as the start of a message."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        return f"the process of {self._spec} {how_it_ended(self._process.exitcode if self._process else None)}"

    def _ask(self, method: str, *arguments: Any) -> Any:
        """The result of a method of the process's `LocalGenerator`. Raises GeneratorError for its errors and its death."""
        if self._pool is None:
            self._start()
        assert self._pool is not None
        try:
            return self._pool.submit(_answer, method, arguments).result()
        except BrokenProcessPool:
            raise GeneratorError(self._ended()) from None

    def call(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> Call:
        try:
            call: Call = self._ask("call", requests, packing)
        except SoraEvalError as error:
            return Call(None, {}, 0, str(error))
        return call

    def tokens(self, requests: Sequence[Request]) -> int | None:
        count: int | None = self._ask("tokens", requests)
        return count

    def flops(self, requests: Sequence[Request], packing: str = AS_A_BATCH) -> dict[str, int] | None:
        by_stage: dict[str, int] | None = self._ask("flops", requests, packing)
        return by_stage

    def serve(self, load: Load, folder: Path | None) -> list[Outcome]:
        outcomes: list[Outcome] = self._ask("serve", load, folder)
        return outcomes

    def bare_loop(self, requests: Sequence[Request], count: int) -> float:
        """As `LocalGenerator.bare_loop`."""
        return float(self._ask("bare_loop", requests, count))

    def harness_loop(self, requests: Sequence[Request], count: int) -> float:
        """As `LocalGenerator.harness_loop`."""
        return float(self._ask("harness_loop", requests, count))

    def close(self) -> None:
        """End the process."""
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        if self._process is not None:
            self._process.join(GRACE)
            self._process.terminate()
            # Where the pool's own thread waited for it first, `join` returns before that thread has noted its end.
            deadline = time.monotonic() + GRACE
            while self._process.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)


_local: LocalGenerator | None = None  # of a worker process; the parent never sets it


def _open(spec: str) -> GeneratorFacts:
    global _local  # noqa: PLW0603
    with _errors_of(spec):
        _local = LocalGenerator.open(spec)
    return _local.facts


def _answer(method: str, arguments: tuple[Any, ...]) -> Any:
    assert _local is not None
    with _errors_of(_local.facts.spec):
        return getattr(_local, method)(*arguments)


@contextmanager
def _errors_of(what: str) -> Iterator[None]:
    """Turn exceptions of a user's generator into GeneratorError, which any process can unpickle; harness errors stay."""
    try:
        with user_code():
            yield
    except UserCodeError as error:
        raise GeneratorError(f"{what}: {error}") from error
