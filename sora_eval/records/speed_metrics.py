"""The metrics of a throughput sweep by name; their unit is the repeat."""

from __future__ import annotations

SPEED_METRICS: dict[str, tuple[str, bool | None]] = {
    "latency": ("s", False),
    "clips_per_second": ("1/s", True),
    "frames_per_second": ("1/s", True),
    "tokens_per_second": ("1/s", True),
    "peak_bytes": ("byte", False),
    "flops": ("FLOP", None),
    "share_of_peak": ("%", True),
}
"""Metrics of [throughput] beside `latency.<stage>`: unit, and whether higher is better (None: neither)."""


def is_speed(metric: str) -> bool:
    """Whether a metric is of the throughput sweep, whose unit is the repeat.

    >>> is_speed("latency.denoise"), is_speed("flops"), is_speed("fvd")
    (True, True, False)
    """
    return metric in SPEED_METRICS or metric.startswith("latency.")
