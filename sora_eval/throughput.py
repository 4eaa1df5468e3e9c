"""Speed of a generator over shapes and lengths: single clips, raw repeats, stages apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from sora_eval.environment import peak_bytes
from sora_eval.generating import answers
from sora_eval.generators import CountsTokens, Generator, Request
from sora_eval.suite import Suite


def measure(suite: Suite, generator: Generator, done: set[str]) -> Iterator[list[dict[str, Any]]]:
    """Time every shape that is not in `done`; yields the rows of one shape at a time.

    Rows: id (the shape), stage, repeat, seconds, bytes, tokens, reason. The first call, which may build things, is stage
    `first`; then `warmup` calls are not kept. `whole` is the wall time of one call; the other stages are the
    generator's own. A shape that fails is one row of stage `failed`.
    """
    sweep, settings = suite.throughput, suite.generate
    assert sweep is not None
    facts = next((p.facts for p in suite.prompt_list if p.text == sweep.prompt), None)
    for shape, (width, height, frames) in zip(sweep.shapes, sweep.sizes, strict=True):
        if shape in done:
            continue
        request = Request(
            sweep.prompt, width, height, frames, sweep.fps, 0, settings.num_inference_steps, settings.guidance_scale, facts
        )
        tokens = generator.tokens(request) if isinstance(generator, CountsTokens) else None
        rows = []
        for repeat in range(-1 - sweep.warmup, sweep.repeats):
            started = time.perf_counter()
            answer = answers(generator, [request])[0]
            seconds = time.perf_counter() - started
            if isinstance(answer, str):
                rows = [_row(shape, "failed", 0, None, tokens, answer)]
                break
            if repeat == -1 - sweep.warmup:
                rows.append(_row(shape, "first", 0, seconds, tokens))
            elif repeat >= 0:
                stages = {"whole": seconds, **answer.seconds}
                rows += [_row(shape, stage, repeat, value, tokens) for stage, value in stages.items()]
        yield rows


def _row(shape: str, stage: str, repeat: int, seconds: float | None, tokens: int | None, reason: str = "") -> dict[str, Any]:
    return {
        "id": shape,
        "stage": stage,
        "repeat": repeat,
        "seconds": seconds,
        "bytes": peak_bytes(),
        "tokens": tokens,
        "reason": reason,
    }


def summarise(rows: list[dict[str, Any]], signature: str) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl, a shape a slice: latency and its stages (median, 10 % and 90 %), clips, frames and tokens/s."""
    out = []
    for shape in dict.fromkeys(r["id"] for r in rows):
        own = [r for r in rows if r["id"] == shape]
        frames = int(shape.split("x")[2])
        tokens = own[0]["tokens"]

        if own[0]["stage"] == "failed":
            out.append(
                {
                    "metric": "latency",
                    "slice": shape,
                    "value": None,
                    "status": "error",
                    "reason": own[0]["reason"],
                    "n_expected": 1,
                    "n_scored": 0,
                    "low": None,
                    "high": None,
                    "method": "",
                    "unit": "s",
                    "higher_is_better": False,
                    "signature": signature,
                }
            )
            continue

        def row(metric: str, values: list[float], unit: str, higher: bool, shape: str = shape) -> dict[str, Any]:
            low, value, high = (float(v) for v in np.quantile(values, [0.1, 0.5, 0.9]))
            return {
                "metric": metric,
                "slice": shape,
                "value": value,
                "status": "ok",
                "reason": "",
                "n_expected": len(values),
                "n_scored": len(values),
                "low": low,
                "high": high,
                "method": "median; 10 % and 90 % of repeats",
                "unit": unit,
                "higher_is_better": higher,
                "signature": signature,
            }

        for stage in dict.fromkeys(r["stage"] for r in own):
            name = "latency" if stage == "whole" else f"latency.{stage}"
            out.append(row(name, [r["seconds"] for r in own if r["stage"] == stage], "s", False))
        whole = [r["seconds"] for r in own if r["stage"] == "whole"]
        out.append(row("clips_per_second", [1 / s for s in whole], "1/s", True))
        out.append(row("frames_per_second", [frames / s for s in whole], "1/s", True))
        if tokens is not None:
            out.append(row("tokens_per_second", [tokens / s for s in whole], "1/s", True))
    return out
