"""Speed: points of a sweep timed in turns over one generator or several, and what their raw repeats say.

Rows of timings.jsonl: id, scenario, batch, stage, repeat, round, seconds, bytes, tokens, flops, reason. The first call,
which may build things, is stage `first`; warm-up calls are not kept. `whole` is the wall time of one call; the other
stages are the generator's own, summed over the clips of the call. A point that fails is one row of stage `failed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import psutil

from sora_eval.arms import Arm, Call
from sora_eval.fits import cost_of, lead_of_attention
from sora_eval.records.request import Request
from sora_eval.suite import Suite
from sora_eval.sweeps import AS_A_BATCH, Point, groups_of

MOST_REPEATS, MOST_BATCH = 60, 64
Row = dict[str, Any]
WHOLE = "whole"


def measure(suite: Suite, arms: Sequence[Arm], done: set[str]) -> Iterator[list[list[Row]]]:
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


def time_group(suite: Suite, arms: Sequence[Arm], group: Sequence[Point]) -> list[list[Row]]:
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
        self.point, self.rows = point, list[Row]()
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
        for row in self.rows:
            row["flops"] = flops.get(row["stage"])

    def _row(self, stage: str, repeat: int, turn: int, seconds: float | None, memory: int, reason: str = "") -> Row:
        return {
            "id": self.point.id,
            "scenario": self.point.scenario,
            "batch": len(self.point.requests),
            "frames": self.point.frames,
            "stage": stage,
            "repeat": repeat,
            "round": turn,
            "seconds": seconds,
            "bytes": memory,
            "tokens": self.tokens,
            "flops": None,
            "reason": reason,
        }


def summarise(rows: list[Row], signature: str, peak_flops: float | None = None) -> list[Row]:
    """Rows of metrics.jsonl, a point a slice: latency and its stages (median, 10 % and 90 %), clips, frames and tokens/s,
    peak memory, FLOPs of a call and their share of `peak_flops`, the machine's matrix peak in FLOP/s."""
    out = []
    for name in dict.fromkeys(r["id"] for r in rows):
        own = [r for r in rows if r["id"] == name]
        head = own[0]
        scenario, batch = head.get("scenario", "latency"), head.get("batch", 1)
        full = f"{signature}|scenario:{scenario}|batch:{batch}"
        if head["stage"] == "failed":
            out.append(_metric("latency", name, [], "s", False, full, head["reason"]))
            continue
        for stage in dict.fromkeys(r["stage"] for r in own):
            kept = [r["seconds"] for r in own if r["stage"] == stage]
            out.append(_metric("latency" if stage == WHOLE else f"latency.{stage}", name, kept, "s", False, full))
        whole = [r for r in own if r["stage"] == WHOLE]
        frames = head["frames"] if "frames" in head else int(name.split("x")[2])
        amounts = {"clips": batch, "frames": frames, "tokens": head["tokens"]}
        for thing, amount in amounts.items():
            if amount is not None:
                values = [amount / r["seconds"] for r in whole]
                out.append(_metric(f"{thing}_per_second", name, values, "1/s", True, full))
        out.append(_metric("peak_bytes", name, [r["bytes"] for r in whole], "byte", False, full))
        counted = [r for r in whole if r.get("flops")]
        if counted:
            out.append(_metric("flops", name, [r["flops"] for r in counted], "FLOP", None, full))
        if counted and peak_flops:
            share = [100 * r["flops"] / r["seconds"] / peak_flops for r in counted]
            out.append(_metric("share_of_peak", name, share, "%", True, full))
    return out


def _metric(
    metric: str, label: str, values: Sequence[float], unit: str, higher: bool | None, signature: str, reason: str = ""
) -> Row:
    low, value, high = (float(v) for v in np.quantile(values, [0.1, 0.5, 0.9])) if len(values) else (None, None, None)
    return {
        "metric": metric,
        "slice": label,
        "value": value,
        "status": "error" if reason else "ok",
        "reason": reason,
        "n_expected": max(len(values), 1),
        "n_scored": len(values),
        "low": low,
        "high": high,
        "method": "median; 10 % and 90 % of repeats" if len(values) else "",
        "unit": unit,
        "higher_is_better": higher,
        "signature": signature,
    }


def signature_of(head: dict[str, Any]) -> str:
    """Under which conditions speed was measured. In an interleaved session, what its two arms have in common: what is
    compared on purpose (a backend, a number of steps) is in run.json only, else nothing could be compared with it."""
    facts = {"cpu": head["hardware"]["cpu"], "cores": head["hardware"]["cores"], **(head.get("bench") or {}).get("common", {})}
    return "|".join(["speed", *(f"{k}:{v}" for k, v in facts.items())])


def cost_fit(rows: Sequence[Row], stage: str = "denoise") -> dict[str, float | None] | None:
    """How the seconds of single clips grow with their tokens: `a` + `b` n + `c` n^2, and where attention takes over.

    Of the stage `denoise`, where there is one, else of whole calls. None with fewer than four numbers of tokens.
    """
    single = [r for r in rows if r.get("scenario", "latency") == "latency" and r["tokens"] and r["seconds"]]
    kept = [r for r in single if r["stage"] == stage] or [r for r in single if r["stage"] == WHOLE]
    tokens = sorted({r["tokens"] for r in kept})
    if len(tokens) < 4:
        return None
    seconds = [float(np.median([r["seconds"] for r in kept if r["tokens"] == n])) for n in tokens]
    cost = cost_of(tokens, seconds)
    return {"a": cost.a, "b": cost.b, "c": cost.c, "error_percent": cost.error_percent, "lead": lead_of_attention(cost)}
