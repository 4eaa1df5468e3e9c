"""The picture of a frontier: gain in speed against the share of the gate's limits that it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from sora_eval.records.verdict import Verdict
from sora_eval.studies.frontier import Point

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {Verdict.PASS: "#15803d", Verdict.IMPROVED: "#15803d", Verdict.REGRESSED: "#b91c1c"}  # others: undecided
MOST = 300.0  # per cent of a limit that is drawn to scale


def draw(points: Sequence[Point], path: Path, metric: str = "latency") -> None:
    """Write a PNG: what no other point beats is joined by a line, and what lies below 100 % is inside every limit."""
    figure, ax = plt.subplots(figsize=(7.6, 4.4), layout="constrained")
    height = min(max([140.0, *(115 * p.used for p in points)]), 1.15 * MOST)
    ax.axhspan(0, 100, color="#dcfce7", zorder=0)
    ax.axhline(100, color="#64748b", ls="--", lw=1)
    best = [p for p in points if not any(p.beaten_by(other) for other in points)]
    ax.plot([p.gain[1] for p in best], [_height(p) for p in best], "-", color="#94a3b8", lw=1.2, zorder=1)
    ax.plot([0], [0], "D", color="#64748b", ms=7, clip_on=False, zorder=3)
    ax.annotate("baseline", (0, 0), (8, 5), textcoords="offset points", fontsize=7.5)
    gains = [0.0, *(p.gain[1] for p in points)]
    late = min(gains) + 0.75 * (max(gains) - min(gains))  # from here labels would leave the picture on the right
    for p in points:
        colour, x, y = COLOURS.get(p.verdict, "#b45309"), p.gain[1], _height(p)
        reach = np.array([[x - p.gain[0]], [p.gain[2] - x]]).clip(0)
        ax.errorbar([x], [y], xerr=reach, fmt="o", color=colour, ms=7, capsize=3, zorder=2)
        beyond = f" ({100 * p.used:.0f} %)" if 100 * p.used > MOST else ""
        text = f"{p.label}\n{p.verdict}: {p.row}{beyond}"
        place, align = ((-7, 6), "right") if x > late else ((7, 6), "left")
        ax.annotate(text, (x, y), place, textcoords="offset points", fontsize=7.5, ha=align)
    ax.set(ylim=(0, height), xlabel=f"gain of {metric} at the shape that gains least, %", ylabel="of a limit used up, %")
    ax.margins(x=0.22)
    ax.set_title("inside every limit below the dashed line; grey: what no other beats", loc="left", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _height(point: Point) -> float:
    return min(100 * point.used, MOST)
