"""The columns of tables of speed: metrics, titles and units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeedColumn:
    """A speed metric as a column. `scale` turns the metric's unit into that of the title; `brief` tables fit a terminal."""

    metric: str
    title: str
    scale: float = 1.0
    brief: bool = True


SPEED_COLUMNS = (
    SpeedColumn("latency.first", "first s", brief=False),
    SpeedColumn("latency", "latency s"),
    SpeedColumn("latency.text", "text s", brief=False),
    SpeedColumn("latency.denoise", "denoise s"),
    SpeedColumn("latency.denoise_step", "step s"),
    SpeedColumn("latency.decode", "decode s"),
    SpeedColumn("clips_per_second", "clips/s"),
    SpeedColumn("frames_per_second", "frames/s", brief=False),
    SpeedColumn("tokens_per_second", "tokens/s"),
    SpeedColumn("flops", "GFLOP", 1e-9, brief=False),
    SpeedColumn("share_of_peak", "share of peak %"),
    SpeedColumn("peak_bytes", "peak MB", 1e-6),
)


SERVED_COLUMNS = (
    SpeedColumn("latency.p50", "p50 s"),
    SpeedColumn("latency.p90", "p90 s"),
    SpeedColumn("latency.p99", "p99 s"),
    SpeedColumn("latency.queue", "queue s"),
    SpeedColumn("clips_per_second", "clips/s"),
    SpeedColumn("failures", "failed %"),
    SpeedColumn("on_time", "on time %"),
    SpeedColumn("goodput", "goodput /s"),
)


def speed_column(metric: str) -> SpeedColumn:
    """The column of a metric; other stages of a generator have their name as title, in seconds.

    >>> speed_column("latency.refine").title
    'refine s'
    """
    known = (*SPEED_COLUMNS, *SERVED_COLUMNS)
    return next((c for c in known if c.metric == metric), SpeedColumn(metric, f"{metric.removeprefix('latency.')} s"))
