"""The tables of a benchmark: shapes, batches, mixed lists, the growth of cost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.speed.served import SERVE
from sora_eval.util.terminal import Terminal
from sora_eval_reports.numbers import number
from sora_eval_reports.text.columns import SERVED_COLUMNS, SPEED_COLUMNS
from sora_eval_reports.text.console import line
from sora_eval_reports.text.tables import terminal


def speed_table(folder: RunFolder) -> pd.DataFrame:
    """One row per timed point of a sweep, as strings."""
    rows = folder.rows(MetricRow)
    points = {r.id: r for r in folder.rows(TimingRow)}
    out = []
    for name in dict.fromkeys(r.slice for r in rows if r.slice in points):
        metrics = {r.metric: r for r in rows if r.slice == name}
        if points[name].scenario == SERVE or metrics["latency"].status == "error":
            continue
        row = {"run": name, "batch": str(points[name].batch), "tokens": number(points[name].tokens)}
        for column in (c for c in SPEED_COLUMNS if c.brief):
            value = metrics[column.metric].value if column.metric in metrics else None
            row[column.title] = number(None if value is None else value * column.scale)
        out.append(row)
    return pd.DataFrame(out).rename(columns={"run": "shape"})


def served_table(folder: RunFolder) -> pd.DataFrame:
    """One row per rate of an open loop, as strings; empty for a sweep."""
    rates = _served(folder)
    shown = [c for c in SERVED_COLUMNS if any(c.metric in metrics for metrics in rates.values())]
    rows = [
        {"rate": rate, **{c.title: number(metrics[c.metric].value if c.metric in metrics else None) for c in shown}}
        for rate, metrics in rates.items()
    ]
    return pd.DataFrame(rows)


def served_notes(folder: RunFolder) -> list[str]:
    """What a table of an open loop rests on, and why it has no value somewhere, one line each."""
    loop = (folder.head.bench or {})["serve"]
    offered = f"medians of {loop['repeats']} repeats of {loop['requests']} requests"
    alone = ", ".join(f"{spec} {number(seconds)} s" for spec, seconds in loop["service_seconds"].items())
    lines = [f"{offered}; a request that waits for no other takes: {alone}"]
    if loop["objective"] is not None:
        limits = " and ".join([f"answered within {number(loop['objective'])} s", *loop["quality"]])
        lines.append(f"good: {limits}")
    reasons: dict[str, list[str]] = {}
    for rate, metrics in _served(folder).items():
        for metric, row in metrics.items():
            if row.reason:
                reasons.setdefault(f"{metric}: {row.reason}", []).append(rate)
    return [*lines, *(f"{', '.join(rates)} {reason}" for reason, rates in reasons.items())]


def _served(folder: RunFolder) -> dict[str, dict[str, MetricRow]]:
    """The rows of each rate that was served, by metric."""
    rates: dict[str, dict[str, MetricRow]] = {r.id: {} for r in folder.rows(TimingRow) if r.scenario == SERVE and r.served}
    for row in folder.rows(MetricRow):
        if row.slice in rates:
            rates[row.slice][row.metric] = row
    return rates


def failures(folder: RunFolder) -> list[str]:
    """Points that could not be timed, one line each with the reason."""
    return [f"{r.slice}: {r.reason}" for r in folder.rows(MetricRow) if r.status == "error"]


def cost_sentence(cost: dict[str, Any] | None) -> str:
    """The growth of cost with tokens, in a sentence; `cost` is that of `speed.summary.cost_fit`."""
    if cost is None:
        return "too few numbers of tokens for a curve of cost"
    growth = f"{number(1e3 * cost['a'])} ms + {number(1e6 * cost['b'])} us n + {number(1e9 * cost['c'])} ns n^2"
    lead = "no growth faster than n was seen" if cost["lead"] is None else f"attention leads from {cost['lead']:.0f} tokens"
    return f"denoising n tokens takes {growth} (largest error {number(cost['error_percent'])} %); {lead}"


def print_speed(folder: RunFolder, console: Terminal) -> None:
    """Print the table of a benchmark and its failures; of a sweep the growth of cost and the snapped shapes, of an open loop
    what was offered and promised."""
    head = folder.head
    bench = head.bench or {}
    is_served = "serve" in bench
    table = served_table(folder) if is_served else speed_table(folder)
    console.print(
        terminal(
            table, f"{head.generator.spec} on {bench['device']}, {bench['provider']}", ("share of peak %", "step s", "text s")
        )
    )
    peak = number(bench["matrix_peak_flops"] / 1e9)
    lines = [
        *failures(folder),
        *(served_notes(folder) if is_served else [cost_sentence(bench["cost"])]),
        f"matrix peak {peak} GFLOP/s; opened in {number(bench['open_seconds'])} s",
    ]
    if bench["snapped"]:
        lines.append(f"{len(bench['snapped'])} shapes were snapped, for example {bench['snapped'][0]}")
    for said in lines:
        line(console, said)
