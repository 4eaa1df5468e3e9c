"""Speed: points of a sweep timed in turns over one generator or several, and the rows of their raw repeats.

Rows of timings.jsonl are `runs.rows.TimingRow`. The first call, which may compile or allocate, is stage `first`; warm-up
calls have no rows. `whole` is the wall time of one call; the other stages are the generator's own, summed over the clips of
the call. A point that fails is one row of stage `failed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import psutil

from sora_eval.generators.protocol import AS_A_BATCH
from sora_eval.records.request import Request
from sora_eval.runs.rows import TimingRow
from sora_eval.speed.summary import WHOLE
from sora_eval.speed.sweep import Point, groups_of
from sora_eval.speed.timed_generator import Call, TimedGenerator
from sora_eval.suite import Suite
from sora_eval.util.errors import SoraEvalError

MOST_REPEATS, MOST_BATCH = 60, 64


def measure(suite: Suite, generators: Sequence[TimedGenerator], done: set[str]) -> Iterator[list[list[TimingRow]]]:
    """Time every point whose id is not in `done` on all generators in turns; yields per group the rows of each generator."""
    for group in plan(suite, generators)[0]:
        left = [p for p in group if p.id not in done]
        if left:
            yield time_group(suite, generators, left)


def plan(suite: Suite, generators: Sequence[TimedGenerator]) -> tuple[list[list[Point]], list[str]]:
    """The groups of points for all generators, and notes on snapped shapes.

    Shapes are snapped to the multiples of the first generator; a mixed list is served with every packing common to all.
    """
    first = generators[0].facts
    common = [p for p in first.packings if all(p in g.facts.packings for g in generators)]
    return groups_of(suite, first.capabilities, common)


def time_group(suite: Suite, generators: Sequence[TimedGenerator], group: Sequence[Point]) -> list[list[TimingRow]]:
    """Rows of each generator. Rounds alternate over all points and generators, A B A B, so that a slow minute affects all."""
    sweep = suite.throughput
    assert sweep is not None
    points = [
        _offline(p, generators, sweep.batch_seconds, _budget(sweep.memory_share))
        if p.scenario == "offline" and not p.problem
        else p
        for p in group
    ]
    turns = [(point, g, _Rows(point, g)) for point in points for g in generators]
    for point, generator, rows in turns:
        if rows.failed:
            continue
        rows.keep(generator.call(point.requests, point.packing), "first", 0)
        for _ in range(sweep.warmup):
            if not rows.failed:
                rows.check(generator.call(point.requests, point.packing))
    for turn in range(max(MOST_REPEATS, sweep.repeats)):
        open_turns = [t for t in turns if not t[2].failed]
        if all(r.repeats >= sweep.repeats and r.spent >= sweep.min_seconds for _, _, r in open_turns):
            break
        for point, generator, rows in open_turns:
            rows.keep(generator.call(point.requests, point.packing), WHOLE, turn)
    for _, generator, rows in turns:
        if not rows.failed:  # counted last, since counting runs the networks before the first call
            rows.count(generator)
    return [[row for _, g, rows in turns if g is generator for row in rows.rows] for generator in generators]


def _budget(share: float) -> int:
    return int(share * psutil.virtual_memory().available)


def _offline(point: Point, generators: Sequence[TimedGenerator], budget: float, memory: int) -> Point:
    """The point with the largest batch that all generators finish in `budget` seconds and `memory` bytes, or its problem."""
    batch = MOST_BATCH
    for generator in generators:
        largest, call = largest_batch(generator, point.requests[0], budget, batch, memory)
        if not largest:
            cost = f"one clip takes {call.seconds:.2f} s and {call.bytes / 1e6:.0f} MB" if call.seconds is not None else ""
            return replace(point, problem=call.reason or f"{cost}; the budgets are {budget:g} s and {memory / 1e6:.0f} MB")
        batch = min(batch, largest)
    return replace(point, requests=_copies(point.requests[0], batch))


def _copies(request: Request, count: int) -> tuple[Request, ...]:
    return tuple(replace(request, seed=request.seed + i) for i in range(count))


def largest_batch(
    generator: TimedGenerator, request: Request, budget: float, most: int = MOST_BATCH, memory: float = float("inf")
) -> tuple[int, Call]:
    """The largest batch, up to `most`, that one call finishes within `budget` seconds and `memory` bytes of the generator's
    process; 0 if one clip does not fit. With it the last call that did not fit.

    The batch doubles until it does not fit, then the gap is halved.
    """

    def fits(batch: int) -> Call | None:
        call = generator.call(_copies(request, batch), AS_A_BATCH)
        return None if call.seconds is not None and call.seconds <= budget and call.bytes <= memory else call

    generator.call((request,), AS_A_BATCH)  # the first call of a shape may compile or allocate
    low, high, last = 0, 1, Call(None, {}, 0)
    while high <= most:
        problem = fits(high)
        if problem is not None:
            last = problem
            break
        low, high = high, high * 2
    high = min(high, most + 1)
    while high - low > max(1, low // 8):  # to an eighth: closer is within the noise of a call
        middle = (low + high) // 2
        problem = fits(middle)
        if problem is None:
            low = middle
        else:
            high, last = middle, problem
    return low, last


class _Rows:
    """The rows of one point on one generator."""

    def __init__(self, point: Point, generator: TimedGenerator) -> None:
        self.point, self.rows = point, list[TimingRow]()
        self.failed, self.repeats, self.spent = False, 0, 0.0
        self.tokens: int | None = None
        if point.problem:
            self.fail(point.problem)
            return
        try:
            self.tokens = generator.tokens(point.requests)
        except SoraEvalError as error:
            self.fail(str(error))

    def fail(self, reason: str, memory: int = 0) -> None:
        """Replace the rows by one failed row: the repeats before a failure are a biased sample."""
        self.failed = True
        self.rows = [self._row("failed", 0, 0, None, memory, reason)]

    def check(self, call: Call) -> bool:
        """Whether a call succeeded; a failed one fails the point."""
        if call.seconds is None:
            self.fail(call.reason, call.bytes)
        return call.seconds is not None

    def keep(self, call: Call, stage: str, turn: int) -> None:
        """Add the rows of a call: `stage`, and unless it is the first call the generator's own stages."""
        if not self.check(call):
            return
        assert call.seconds is not None
        stages = {stage: call.seconds} if stage == "first" else {stage: call.seconds, **call.stages}
        self.rows += [self._row(name, self.repeats, turn, value, call.bytes) for name, value in stages.items()]
        if stage == WHOLE:
            self.repeats, self.spent = self.repeats + 1, self.spent + call.seconds

    def count(self, generator: TimedGenerator) -> None:
        """Fill in the FLOPs. A failed count fails the point: the process may have died."""
        try:
            by_stage = generator.flops(self.point.requests, self.point.packing) or {}
        except SoraEvalError as error:
            self.fail(str(error))
            return
        self.rows = [row.model_copy(update={"flops": by_stage.get(row.stage)}) for row in self.rows]

    def _row(self, stage: str, repeat: int, turn: int, seconds: float | None, memory: int, reason: str = "") -> TimingRow:
        return TimingRow(
            id=self.point.id,
            scenario=self.point.scenario,
            batch=len(self.point.requests),
            frames=self.point.frames,
            stage=stage,
            repeat=repeat,
            round=turn,
            seconds=seconds,
            bytes=memory,
            tokens=self.tokens,
            reason=reason,
        )
