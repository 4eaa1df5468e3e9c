"""What the raw repeats of a sweep say: rows of metrics.jsonl, and how cost grows with tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_eval.speed.scaling import cost_of, lead_of_attention

Row = dict[str, Any]
WHOLE = "whole"  # the stage of a whole call


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
    """Under which conditions speed was measured. In an interleaved session, what its two generators have in common: what is
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
