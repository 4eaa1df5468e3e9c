"""The history of metrics as a terminal table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from sora_eval.studies.history import History
from sora_eval_reports.numbers import interval, number

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BASE, NEW, BAND = "#3b76c4", "#d9730d", "#94a3b8"


def terminal_table(chart: History) -> pd.DataFrame:
    """The table of a chart for the terminal: strings, one row per run."""
    rows = []
    for p in chart.points:
        low, high = (None, None) if p.row is None else (p.row.low, p.row.high)
        change = "-" if chart.baseline is None or p.value is None else f"{p.value - chart.baseline:+.4g}"
        rows.append(
            {
                chart.axis: p.x,
                "run": p.run,
                "generator": p.label,
                "value": number(p.value),
                "95 % interval": interval(low, high),
                "to baseline": change,
                "noise": p.mark,
            }
        )
    return pd.DataFrame(rows)


def draw(charts: Sequence[History], path: Path) -> None:
    """Write a PNG, one chart per metric from top to bottom: points with intervals, a dashed baseline, its noise band."""
    figure, axes = plt.subplots(len(charts), 1, figsize=(8, 2.7 * len(charts) + 0.4), squeeze=False, layout="constrained")
    for ax, chart in zip(axes[:, 0], charts, strict=True):
        points = [(p, p.row, p.row.value) for p in chart.points if p.row is not None and p.row.value is not None]
        if chart.baseline is not None:
            if chart.noise is not None:
                ends = (chart.baseline - chart.noise.reach, chart.baseline + chart.noise.reach)
                ax.axhspan(*ends, color=BAND, alpha=0.25, lw=0, label=f"noise, 95 % ({chart.noise.source})")
            ax.axhline(chart.baseline, color=NEW, ls="--", lw=1.2, label=f"baseline {number(chart.baseline)}")
        bars = [(p.place, v, v - r.low, r.high - v) for p, r, v in points if r.low is not None and r.high is not None]
        place, value, below, above = np.array(bars, np.float64).reshape(-1, 4).T
        ax.errorbar(place, value, np.abs([below, above]), fmt="none", ecolor=BASE, alpha=0.5, capsize=3)
        ax.plot([p.place for p, _, _ in points], [v for _, _, v in points], "o-", color=BASE, ms=5)
        if chart.axis != "steps":
            names = {p.place: p.x for p, _, _ in reversed(points)}
            ax.set_xticks(list(names), list(names.values()), rotation=25, ha="right", fontsize=8)
        ax.set_xlabel("training steps" if chart.axis == "steps" else chart.axis)
        unit = next((r.unit for _, r, _ in points if r.unit), "")
        ax.set_title(f"{chart.metric} ({unit})" if unit else chart.metric, loc="left", fontsize=10, fontweight="bold")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.25)
        if chart.baseline is not None:
            ax.legend(fontsize=7.5, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
