"""The picture of a plan: chances of a gate's verdicts against prompts, seeds and limits."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from sora_eval.studies.gate_plan import Plan
from sora_eval.studies.planning import CHANGES

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(plan: Plan, path: Path) -> None:
    """Write a PNG of three charts, chances in per cent: PASS of the whole gate against prompts, a line per seeds; REGRESSED
    against prompts with the suite's seeds, a line per true change; and PASS of every row against multiples of its limits."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained", sharey=True)
    passing, found, limits = axes
    present, sizes = plan.present.design, sorted({c.design.prompts for c in plan.grid})
    of_pair = {
        (held, asked): [c for c in plan.grid if (c.design.baseline_seeds, c.design.seeds) == (held, asked)]
        for held, asked in dict.fromkeys((c.design.baseline_seeds, c.design.seeds) for c in plan.grid)
    }
    for (pair, chances), colour in zip(
        of_pair.items(), plt.get_cmap("viridis")(np.linspace(0, 0.9, len(of_pair))), strict=True
    ):
        passing.plot(sizes, [100 * c.whole for c in chances], "o-", ms=4, color=colour, label=f"{pair[0]} / {pair[1]} seeds")
    for change in CHANGES:
        chances = of_pair[present.baseline_seeds, present.seeds]
        found.plot(sizes, [100 * c.weakest(change)[0] for c in chances], "o-", ms=4, label=f"{change:g} x limit")
    factors = [factor for factor, _ in plan.by_limits]
    for row in plan.model.rows:
        limits.plot(factors, [100 * c.passing[row.name] for _, c in plan.by_limits], "o-", ms=3, lw=1, label=row.name)
    limits.plot(factors, [100 * c.whole for _, c in plan.by_limits], "k-", lw=2, label="gate")
    seeds = f"{present.baseline_seeds} / {present.seeds} seeds"
    titles = (
        "nothing changed: PASS of the gate",
        f"the weakest row changed: REGRESSED, {seeds}",
        f"nothing changed: PASS, {present.prompts} prompts, {seeds}",
    )
    for ax, title, goal in zip(axes, titles, (plan.goal.passing, plan.goal.found, plan.goal.passing), strict=True):
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        ax.axhline(100 * goal, color="#94a3b8", ls="--", lw=1)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.25)
        ax.legend(fontsize=7.5, frameon=False)
        ax.set_ylim(0, 102)
    for ax in (passing, found):
        ax.set(xlabel="prompts", xscale="log")
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.minorticks_off()
    limits.set_xlabel("limits, x the suite's")
    limits.set_xticks(factors, [f"{f:g}" for f in factors])
    passing.set_ylabel("%")
    figure.savefig(path, dpi=110)
    plt.close(figure)
