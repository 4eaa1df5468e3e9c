"""Speed: points of a sweep timed in turns over one generator or several, and what their raw repeats say.

Rows of timings.jsonl are `runs.rows.TimingRow`. The first call,
which may build things, is stage `first`; warm-up calls are not kept. `whole` is the wall time of one call; the other
stages are the generator's own, summed over the clips of the call. A point that fails is one row of stage `failed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import psutil

from sora_eval.records.request import Request
from sora_eval.runs.rows import TimingRow
from sora_eval.speed.summary import WHOLE
from sora_eval.speed.sweep import AS_A_BATCH, Point, groups_of
from sora_eval.speed.timed_generator import Arm, Call
from sora_eval.suite import Suite

MOST_REPEATS, MOST_BATCH = 60, 64


def measure(suite: Suite, arms: Sequence[Arm], done: set[str]) -> Iterator[list[list[TimingRow]]]:
    """Time every point of a suite that is not in `done` on all arms in turns; yields a list of rows an arm, group by group."""
    for group in plan(suite, arms)[0]:
        left = [p for p in group if p.id not in done]
        if left:
            yield time_group(suite, arms, left)


def plan(suite: Suite, arms: Sequence[Arm]) -> tuple[list[list[Point]], list[str]]:
    """The groups of points that all arms are asked for, and notes on snapped shapes.

    Shapes are snapped to the first arm's multiples; of the ways to serve a mixed list those that all arms know are kept.
    """
    first = arms[0].facts
    common = [p for p in first.packings if all(p in arm.facts.packings for arm in arms)]
    return groups_of(suite, first.capabilities, common)


def time_group(suite: Suite, arms: Sequence[Arm], group: Sequence[Point]) -> list[list[TimingRow]]:
    """Rows an arm. Rounds alternate over all points and arms: A B A B, so that a slow minute of the machine meets all."""
    sweep = suite.throughput
    assert sweep is not None
    points = [
        _offline(p, arms, sweep.batch_seconds, _budget(sweep.memory_share)) if p.scenario == "offline" and not p.problem else p
        for p in group
    ]
    turns = [(point, arm, _Rows(point, arm)) for point in points for arm in arms]
    for point, arm, rows in turns:
        if point.problem:
            rows.fail(point.problem)
            continue
        rows.keep(arm.call(point.requests, point.packing), "first", 0)
        for _ in range(sweep.warmup):
            if not rows.failed:
                rows.check(arm.call(point.requests, point.packing))
    for turn in range(max(MOST_REPEATS, sweep.repeats)):
        open_turns = [t for t in turns if not t[2].failed]
        if all(r.repeats >= sweep.repeats and r.spent >= sweep.min_seconds for _, _, r in open_turns):
            break
        for point, arm, rows in open_turns:
            rows.keep(arm.call(point.requests, point.packing), WHOLE, turn)
    for point, arm, rows in turns:
        if not rows.failed:  # counted last: counting runs the networks, and the first call has to be the first
            rows.count(arm.flops(point.requests, point.packing) or {})
    return [[row for _, a, rows in turns if a is arm for row in rows.rows] for arm in arms]


def _budget(share: float) -> int:
    return int(share * psutil.virtual_memory().available)


def _offline(point: Point, arms: Sequence[Arm], budget: float, memory: int) -> Point:
    """The point with the largest batch that every arm answers within `budget` seconds and `memory` bytes, or why none is."""
    batch = MOST_BATCH
    for arm in arms:
        found, call = largest_batch(arm, point.requests[0], budget, batch, memory)
        if not found:
            took = f"one clip takes {call.seconds:.2f} s and {call.bytes / 1e6:.0f} MB" if call.seconds is not None else ""
            return replace(point, problem=call.reason or f"{took}; the budgets are {budget:g} s and {memory / 1e6:.0f} MB")
        batch = min(batch, found)
    return replace(point, requests=_copies(point.requests[0], batch))


def _copies(request: Request, count: int) -> tuple[Request, ...]:
    return tuple(replace(request, seed=request.seed + i) for i in range(count))


def largest_batch(
    arm: Arm, request: Request, budget: float, most: int = MOST_BATCH, memory: float = float("inf")
) -> tuple[int, Call]:
    """The most clips that one call answers within `budget` seconds and `memory` bytes without failing, at most `most`; 0 if
    not even one. The memory is that of the generator's whole process.

    Doubles until a batch does not fit, then halves the gap. The last call that did not fit comes with it.
    """

    def fits(batch: int) -> Call | None:
        call = arm.call(_copies(request, batch), AS_A_BATCH)
        return None if call.seconds is not None and call.seconds <= budget and call.bytes <= memory else call

    arm.call((request,), AS_A_BATCH)  # the first call of a shape may build things
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
    """The rows of one point on one arm."""

    def __init__(self, point: Point, arm: Arm) -> None:
        self.point, self.rows = point, list[TimingRow]()
        self.failed, self.repeats, self.spent = False, 0, 0.0
        self.tokens = None if point.problem else arm.tokens(point.requests)

    def fail(self, reason: str, memory: int = 0) -> None:
        """A point that fails once is one row: half of its repeats would be the half that happened to work."""
        self.failed = True
        self.rows = [self._row("failed", 0, 0, None, memory, reason)]

    def check(self, call: Call) -> bool:
        if call.seconds is None:
            self.fail(call.reason, call.bytes)
        return call.seconds is not None

    def keep(self, call: Call, stage: str, turn: int) -> None:
        if not self.check(call):
            return
        assert call.seconds is not None
        stages = {stage: call.seconds} if stage == "first" else {stage: call.seconds, **call.stages}
        self.rows += [self._row(name, self.repeats, turn, value, call.bytes) for name, value in stages.items()]
        if stage == WHOLE:
            self.repeats, self.spent = self.repeats + 1, self.spent + call.seconds

    def count(self, flops: dict[str, int]) -> None:
        self.rows = [row.model_copy(update={"flops": flops.get(row.stage)}) for row in self.rows]

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
