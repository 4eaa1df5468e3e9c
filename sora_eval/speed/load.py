"""An open loop: requests are sent when they are due, whether those before them were answered or not.

What waits for an answer before it sends the next request skips the requests that would have come in a stall, and so reports
the stall once (coordinated omission: Tene, "How not to measure latency"). Here every time counts from the scheduled arrival.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sora_eval.generators.asking import answers
from sora_eval.generators.protocol import QUEUE, READ, Generator
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request

MOST_AT_ONCE = 256  # threads, each with a request under way; further ones wait, and their wait is in their latency
Ask = Callable[[Request], Clip | str]  # the clip, or the reason why there is none


class Clock(Protocol):
    """A clock in seconds, whose zero has no meaning."""

    def now(self) -> float:
        """The time."""
        ...

    def wait_until(self, when: float) -> None:
        """Return at `when`, at once where that is past."""
        ...


class WallClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.perf_counter()

    def wait_until(self, when: float) -> None:
        while (left := when - time.perf_counter()) > 0:
            time.sleep(left)


@dataclass(frozen=True)
class Load:
    """Requests with their scheduled `arrivals`, in seconds from the start of the count; those of the warm-up are below 0."""

    arrivals: tuple[float, ...]
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a request, on the time of the arrivals: when its answer was `begun` (None where that is not known) and
    when it `ended`, and the rate of its clip (frames per second), or the reason why there is none."""

    begun: float | None
    ended: float
    fps: float | None = None
    reason: str = ""


def poisson_arrivals(rate: float, count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Sorted times (count,) in seconds of a Poisson process of `rate` per second with `count` arrivals in count / rate seconds.

    Given their number, the arrivals of a Poisson process are independent and uniform (Cox and Lewis 1966). All repeats then
    offer the same rate, and what is counted per second has not the noise of how many happened to come.
    """
    return np.sort(rng.uniform(0.0, count / rate, count))


def warm_up(rate: float, service_seconds: float) -> int:
    """Number of requests before the count: those of two service times, so that it does not begin with an idle server.

    >>> warm_up(0.5, 3.0), warm_up(0.1, 1.0)
    (3, 1)
    """
    return max(1, math.ceil(2 * rate * service_seconds))


def scheduled(rate: float, count: int, before: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Times of `before` arrivals of the warm-up, all below 0, and of `count` arrivals from 0 to count / rate seconds."""
    ahead = poisson_arrivals(rate, before, rng) - before / rate
    return (*ahead.tolist(), *poisson_arrivals(rate, count, rng).tolist())


def in_turn(load: Load, ask: Ask, clock: Clock, keep: Callable[[int, Clip], None]) -> list[Outcome]:
    """The outcomes at one server that answers one request at a time, first come, first served.

    A request begins when it has arrived and those before it are answered, so a loop is an open one here, without threads.
    """
    start, out = clock.now() - load.arrivals[0], []
    for place, (arrival, request) in enumerate(zip(load.arrivals, load.requests, strict=True)):
        clock.wait_until(start + arrival)
        begun = clock.now() - start
        answer = ask(request)
        ended = clock.now() - start
        out.append(_outcome(answer, begun, ended))
        if isinstance(answer, Clip):
            keep(place, answer)
    return out


def at_once(load: Load, ask: Ask, clock: Clock, keep: Callable[[int, Clip], None], most: int = MOST_AT_ONCE) -> list[Outcome]:
    """The outcomes of a service with a queue of its own: every request is sent when it is due, by a thread.

    An answer begins when the service says so; the reading of its video here is no part of its time.
    """
    start = clock.now() - load.arrivals[0]

    def one(place: int) -> Outcome:
        sent = clock.now() - start
        answer = ask(load.requests[place])
        ended = clock.now() - start
        if isinstance(answer, str):
            return _outcome(answer, None, ended)
        keep(place, answer)
        queued, read = answer.seconds.get(QUEUE), answer.seconds.get(READ, 0.0)
        return _outcome(answer, None if queued is None else sent + queued, ended - read)

    with ThreadPoolExecutor(most, "load") as pool:
        sent: list[Future[Outcome]] = []
        for place, arrival in enumerate(load.arrivals):
            clock.wait_until(start + arrival)
            sent.append(pool.submit(one, place))
        return [outcome.result() for outcome in sent]


def _outcome(answer: Clip | str, begun: float | None, ended: float) -> Outcome:
    return Outcome(begun, ended, reason=answer) if isinstance(answer, str) else Outcome(begun, ended, answer.fps)


def serve(generator: Generator, load: Load, folder: Path | None, clock: Clock | None = None) -> list[Outcome]:
    """The outcomes of a load at a generator, in its order.

    The frames go into `folder`, if there is one, as `PLACE.npy`, written by a thread beside the load. Raises OSError where they
    cannot be written.
    """
    written: list[Future[None]] = []
    with ExitStack() as stack:
        writer = stack.enter_context(ThreadPoolExecutor(1, "clips"))

        def keep(place: int, clip: Clip) -> None:
            if folder is not None:
                written.append(writer.submit(np.save, folder / f"{place}.npy", clip.frames))

        def ask(request: Request) -> Clip | str:
            return answers(generator, [request])[0]

        send = at_once if generator.concurrent else in_turn
        outcomes = send(load, ask, clock or WallClock(), keep)
    for future in written:
        future.result()
    return outcomes
