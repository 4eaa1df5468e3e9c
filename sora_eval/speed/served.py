"""The numbers of an open loop from the rows of its requests: one value per repeat, and their summary. Pure.

A queue makes neighbouring requests alike, so requests are no independent sample: the unit is the repeat, which begins with an
empty queue and has arrivals of its own (independent replications: Law and Kelton, "Simulation modeling and analysis").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sora_eval.records.speed_metrics import PROMISED, SERVED_METRICS
from sora_eval.runs.rows import MetricRow, Served, TimingRow
from sora_eval.stats.intervals import median_interval
from sora_eval.util.errors import Undefined

SERVE = "serve"  # the scenario of an open loop
PERCENTILES = {f"latency.p{percent}": percent for percent in (50, 90, 99)}


def point_of(rate: float) -> str:
    """The id of a rate.

    >>> point_of(0.5), point_of(2)
    ('serve:0.5/s', 'serve:2/s')
    """
    return f"{SERVE}:{rate:.12g}/s"


def served_repeats(rows: Sequence[TimingRow], metric: str) -> list[float]:
    """The repeats of one rate (its rows) in a metric's unit; none where one has no value, since the others are no
    sample of all."""
    try:
        return [value_of(repeat, metric) for repeat in _by_repeat(rows)]
    except Undefined:
        return []


def value_of(rows: Sequence[TimingRow], metric: str) -> float:
    """A metric of SERVED_METRICS over the requests of one repeat.

    A percentile is that of all counted requests by the nearest rank, failed ones later than any other. `latency.queue` is the
    mean wait. Throughput is what was answered in the window of the counted arrivals, whenever it arrived, per second, and
    `goodput` what of it was good; `failures` and `on_time` are shares of the counted. Raises Undefined with the reason why
    there is no value.
    """
    requests = [(row, row.served) for row in rows if row.served is not None]
    counted = [(row, served) for row, served in requests if served.arrival >= 0]
    if not counted:
        raise Undefined("no request was counted")
    number = len(counted)
    window = number / counted[0][1].rate
    if metric in PERCENTILES:
        return _percentile([row.seconds for row, _ in counted], PERCENTILES[metric])
    if metric == "latency.queue":
        if any(served.queue is None and row.seconds is not None for row, served in counted):
            raise Undefined("it does not say when an answer begins")
        return _mean([served.queue for _, served in counted if served.queue is not None], "no request was begun")
    if metric in PROMISED and any(served.good is None for _, served in counted):
        raise Undefined("no latency objective was given")
    inside = [(r, s) for r, s in requests if r.seconds is not None and 0 <= s.arrival + r.seconds <= window]
    amounts = {
        "clips_per_second": len(inside),
        "frames_per_second": sum(row.frames or 0 for row, _ in inside),
        "goodput": sum(bool(served.good) for _, served in inside),
    }
    shares = {
        "failures": sum(row.seconds is None for row, _ in counted),
        "on_time": sum(bool(served.on_time) for _, served in counted),
    }
    if metric not in amounts.keys() | shares.keys():
        raise Undefined(f"an open loop has no {metric}")
    return amounts[metric] / window if metric in amounts else 100 * shares[metric] / number


def _percentile(seconds: Sequence[float | None], percent: int) -> float:
    number, failed = len(seconds), sum(s is None for s in seconds)
    rank = -(-percent * number // 100)
    if rank == number:
        needed = 100 // (100 - percent)
        raise Undefined(
            f"the {percent} % percentile of {number} requests is their largest; {needed} or more per repeat have one"
        )
    if rank > number - failed:
        raise Undefined(f"{failed} of {number} requests failed, and the {percent} % percentile is one of them")
    return sorted(s for s in seconds if s is not None)[rank - 1]


def _mean(values: Sequence[float], without: str) -> float:
    if not values:
        raise Undefined(without)
    return float(np.mean(values))


def _by_repeat(rows: Sequence[TimingRow]) -> Iterator[list[TimingRow]]:
    for repeat in dict.fromkeys(row.repeat for row in rows):
        yield [row for row in rows if row.repeat == repeat]


def served_rows(rows: Sequence[TimingRow], signature: str, promise: str = "") -> list[MetricRow]:
    """Rows of metrics.jsonl of one rate: medians of the repeats, with intervals by order statistics.

    `promise`, the objective and the limits of quality, is a part of the signature of what depends on it. A percentile that has
    no value has a row with the reason; what the generator does not say, or nobody promised, has none.
    """
    repeats = list(_by_repeat(rows))
    counted = sum(row.served is not None and row.served.arrival >= 0 for row in repeats[0])
    rate = next(row.served.rate for row in rows if row.served is not None)
    full = f"{signature}|scenario:{SERVE}|rate:{rate:.12g}|requests:{counted}"
    out = []
    for metric, (unit, higher) in SERVED_METRICS.items():
        values, reason = list[float](), ""
        try:
            values = [value_of(repeat, metric) for repeat in repeats]
        except Undefined as why:
            if metric not in PERCENTILES:
                continue
            reason = str(why)
        interval = median_interval(values)
        out.append(
            MetricRow(
                metric=metric,
                slice=rows[0].id,
                value=float(np.median(values)) if values else None,
                status="ok" if values else "undefined",
                reason=reason or (_failures(rows) if metric == "failures" else ""),
                n_expected=len(repeats),
                n_scored=len(values),
                low=interval.low,
                high=interval.high,
                method=f"median of repeats of {counted} requests; {interval.method}" if values else "",
                unit=unit,
                higher_is_better=higher,
                signature=f"{full}|{promise}" if promise and metric in PROMISED else full,
                family="speed",
            )
        )
    return out


def _failures(rows: Sequence[TimingRow]) -> str:
    """How many counted requests failed, with the reason of the first; '' for none."""
    counted: list[tuple[TimingRow, Served]] = [(r, r.served) for r in rows if r.served is not None and r.served.arrival >= 0]
    reasons = [row.reason for row, _ in counted if row.seconds is None]
    return f"{len(reasons)} of {len(counted)} requests failed, the first: {reasons[0]}" if reasons else ""
