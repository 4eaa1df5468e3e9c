"""The metrics of speed by name, of a throughput sweep and of an open loop; their unit is the repeat."""

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

SERVED_METRICS: dict[str, tuple[str, bool]] = {
    "latency.p50": ("s", False),
    "latency.p90": ("s", False),
    "latency.p99": ("s", False),
    "latency.queue": ("s", False),
    "clips_per_second": ("1/s", True),
    "frames_per_second": ("1/s", True),
    "failures": ("%", False),
    "on_time": ("%", True),
    "goodput": ("1/s", True),
}
"""Metrics of [serve], in the same form."""

PROMISED = ("on_time", "goodput")  # they need a latency objective
IN_SHORT = ("latency", "latency.p99", "goodput")  # those of tables that do not show all


def is_speed(metric: str) -> bool:
    """Whether a metric is one of speed, whose unit is the repeat.

    >>> is_speed("latency.denoise"), is_speed("goodput"), is_speed("fvd")
    (True, True, False)
    """
    return metric in SPEED_METRICS or metric in SERVED_METRICS or metric.startswith("latency.")
