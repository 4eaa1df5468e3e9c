"""The metrics of a throughput sweep by name; their unit is the repeat."""

from __future__ import annotations

# What [throughput] gives, beside `latency.<stage>`.
SPEED_METRICS = [
    "latency",
    "clips_per_second",
    "frames_per_second",
    "tokens_per_second",
    "peak_bytes",
    "flops",
    "share_of_peak",
]


def is_speed(metric: str) -> bool:
    """Whether a metric is of the throughput sweep, whose unit is the repeat."""
    return metric in SPEED_METRICS or metric.startswith("latency.")
