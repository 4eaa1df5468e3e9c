"""Summarises the raw repeats of a sweep: rows of metrics.jsonl, and the growth of cost with tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sora_eval.records.speed_metrics import SPEED_METRICS
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.speed.scaling import cost_of, lead_of_attention
from sora_eval.speed.served import SERVE, served_repeats, served_rows

WHOLE = "whole"  # the stage of a whole call


def repeats_of(rows: Sequence[TimingRow], metric: str, peak_flops: float | None = None) -> list[float]:
    """The repeats of one point (its rows) in a speed metric's unit; empty where the metric is not defined.

    `latency.STAGE` is of a stage of the generator, every other metric of whole calls. Tokens and FLOPs need a generator that
    counts them, a share `peak_flops`, the machine's matrix peak in FLOP/s. Those of an open loop are of `speed.served`.
    """
    if any(r.served for r in rows):
        return served_repeats(rows, metric)
    stage = metric.removeprefix("latency.") if metric.startswith("latency.") else WHOLE
    timed = [(r, r.seconds) for r in rows if r.stage == stage and r.seconds]
    if metric.startswith("latency"):
        return [seconds for _, seconds in timed]
    if metric == "peak_bytes":
        return [float(r.bytes) for r, _ in timed]
    if metric == "flops":
        return [float(r.flops) for r, _ in timed if r.flops]
    if metric == "share_of_peak":
        return [100 * r.flops / seconds / peak_flops for r, seconds in timed if r.flops and peak_flops]
    amounts = {"clips_per_second": _clips_of, "frames_per_second": frames_of, "tokens_per_second": _tokens_of}
    amount = amounts.get(metric)  # none: a metric of an open loop
    return [number / seconds for r, seconds in timed if (number := amount(r)) is not None] if amount else []


def _clips_of(row: TimingRow) -> int:
    return row.batch


def _tokens_of(row: TimingRow) -> int | None:
    return row.tokens


def frames_of(row: TimingRow) -> int:
    """Frames of one timed call, all clips together; a run of schema 1 may hold them in the point's id only."""
    return row.frames if row.frames is not None else int(row.id.split("x")[2]) * row.batch


def summarise(rows: Sequence[TimingRow], signature: str, peak_flops: float | None = None, promise: str = "") -> list[MetricRow]:
    """Rows of metrics.jsonl, one slice per point: latency and its stages (median, 10 % and 90 %), clips, frames and tokens/s,
    peak memory, FLOPs of a call and their share of `peak_flops`; of an open loop, those of `served_rows`."""
    out = []
    for name in dict.fromkeys(r.id for r in rows):
        point = [r for r in rows if r.id == name]
        head = point[0]
        full = f"{signature}|scenario:{head.scenario}|batch:{head.batch}"
        if head.stage == "failed":
            out.append(_metric("latency", name, [], full, head.reason))
            continue
        if head.scenario == SERVE:
            out += served_rows(point, signature, promise)
            continue
        stages = dict.fromkeys("latency" if r.stage == WHOLE else f"latency.{r.stage}" for r in point)
        for metric in [*stages, *(m for m in SPEED_METRICS if m != "latency")]:
            if values := repeats_of(point, metric, peak_flops):
                out.append(_metric(metric, name, values, full))
    return out


def _metric(metric: str, label: str, values: Sequence[float], signature: str, reason: str = "") -> MetricRow:
    low, value, high = (float(v) for v in np.quantile(values, [0.1, 0.5, 0.9])) if len(values) else (None, None, None)
    unit, higher = SPEED_METRICS[metric.partition(".")[0]]
    return MetricRow(
        metric=metric,
        slice=label,
        value=value,
        status="error" if reason else "ok",
        reason=reason,
        n_expected=max(len(values), 1),
        n_scored=len(values),
        low=low,
        high=high,
        method="median; 10 % and 90 % of repeats" if len(values) else "",
        unit=unit,
        higher_is_better=higher,
        signature=signature,
        family="speed",
    )


def signature_of(head: RunHead) -> str:
    """The conditions of a measurement of speed: processor, cores, and the settings that all generators of the session share.
    Settings that differ on purpose (a backend, a number of steps) are in run.json only, so that the runs stay comparable."""
    facts = {"cpu": head.hardware["cpu"], "cores": head.hardware["cores"], **(head.bench or {}).get("common", {})}
    return "|".join(["speed", *(f"{k}:{v}" for k, v in facts.items())])


def cost_fit(rows: Sequence[TimingRow], stage: str = "denoise") -> dict[str, float | None] | None:
    """Seconds of single clips of n tokens as `a` + `b` n + `c` n^2, and `lead`, the tokens from which attention dominates.

    Of the stage `denoise`, where there is one, else of whole calls. None with fewer than four numbers of tokens.
    """
    single = [(r.stage, r.tokens, r.seconds) for r in rows if r.scenario == "latency" and r.tokens and r.seconds]
    points = [(n, s) for name, n, s in single if name == stage] or [(n, s) for name, n, s in single if name == WHOLE]
    tokens = sorted({n for n, _ in points})
    if len(tokens) < 4:
        return None
    seconds = [float(np.median([s for m, s in points if m == n])) for n in tokens]
    cost = cost_of(tokens, seconds)
    return {"a": cost.a, "b": cost.b, "c": cost.c, "error_percent": cost.error_percent, "lead": lead_of_attention(cost)}
