"""A run of many workers under one driver, as a simulation of discrete events. Pure.

The driver is a queue of one server, as `pipeline.engines.flow` is: it wakes when workers have answered, handles every answer
that is there, gives out work, and sleeps until the next. Workers wait for it, and generating pauses where too many clips
wait for a scorer.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from sora_eval.pipeline.engines.flow import AHEAD

GENERATED, SCORED = 0, 1


@dataclass(frozen=True)
class Times:
    """Seconds: of a generator and of a scorer for a clip, of the driver for an answer of either, and for a wake-up of it."""

    generate: float
    score: float
    answer: float
    wake: float


@dataclass(frozen=True)
class Simulated:
    """Clips a second, the share of the time that the driver is busy, and the share that generators are."""

    clips_per_second: float
    driver: float
    generators: float


def simulate(generators: int, scorers: int, times: Times, cases: int, spread: float = 0.2, seed: int = 0) -> Simulated:
    """A run of `cases` clips. A clip takes its time give or take `spread` of it (uniform), so that workers fall out of step.

    >>> one = simulate(1, 1, Times(generate=1.0, score=0.0, answer=0.0, wake=0.0), 1000)
    >>> round(one.clips_per_second, 1), round(one.driver, 1)
    (1.0, 0.0)
    >>> simulate(500, 500, Times(1.0, 0.1, answer=0.005, wake=0.0), 2000).clips_per_second < 1 / (2 * 0.005)
    True
    """
    rng = np.random.default_rng(seed)
    factors = iter(rng.uniform(1 - spread, 1 + spread, 2 * cases).tolist())
    events: list[tuple[float, int]] = []  # when a worker has answered, and of which kind it is
    asked, scored, waiting, idle, pending = 0, 0, 0, scorers, generators
    clock = busy = generating = 0.0
    while scored < cases:
        while pending and asked < cases and waiting < AHEAD * scorers:
            seconds = times.generate * next(factors)
            heapq.heappush(events, (clock + seconds, GENERATED))
            asked, pending, generating = asked + 1, pending - 1, generating + seconds
        while idle and waiting:
            heapq.heappush(events, (clock + times.score * next(factors), SCORED))
            idle, waiting = idle - 1, waiting - 1
        start = clock = max(clock, events[0][0])
        clock += times.wake
        while events and events[0][0] <= start:
            _, kind = heapq.heappop(events)
            clock += times.answer
            if kind == GENERATED:
                waiting, pending = waiting + 1, pending + 1
            else:
                scored, idle = scored + 1, idle + 1
        busy += clock - start
    return Simulated(cases / clock, busy / clock, generating / (generators * clock)) if clock else Simulated(np.inf, 0.0, 0.0)
