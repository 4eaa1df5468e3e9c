"""The picture at the top of `docs/verdicts.md`: PASS, REGRESSED and INCONCLUSIVE as intervals against a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import matplotlib
import typer

from docs.pages.program import launch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LIMIT = 5.0  # per cent that the gate of the picture allows
# Verdict, change and half width of its interval in per cent, and what the row says.
CASES = (
    ("PASS", 0.8, 2.6, "green", "even at its worst end the change\nis inside the limit"),
    ("REGRESSED", 8.5, 2.4, "firebrick", "past the limit,\nand noise does not explain it"),
    ("INCONCLUSIVE", 3.6, 4.0, "darkorange", "these prompts cannot tell\nwhether it is inside"),
)


def main(
    picture: Annotated[Path, typer.Option(help="The PNG file.")] = Path("docs/images/verdicts.png"),
) -> None:
    """Draw three verdicts as intervals against a limit."""
    figure, axes = plt.subplots(1, len(CASES), figsize=(9.6, 2.5), sharey=True, layout="constrained")
    for ax, (verdict, change, reach, colour, words) in zip(axes, CASES, strict=True):
        ax.axvspan(-4, LIMIT, ymin=0.36, color="0.93", zorder=0)
        ax.axvline(LIMIT, ymin=0.36, color="0.3", linestyle="--", linewidth=1.2)
        ax.axvline(0, ymin=0.36, color="0.7", linewidth=0.8)
        ax.plot([change - reach, change + reach], [0, 0], color=colour, linewidth=4, solid_capstyle="butt", alpha=0.55)
        ax.plot([change], [0], "o", color=colour, markersize=9)
        ax.set_title(verdict, color=colour, fontsize=12, fontweight="bold")
        ax.text(4, -0.66, words, ha="center", va="center", fontsize=8.5)
        ax.text(LIMIT, 0.78, " limit", ha="left", va="center", fontsize=8, color="0.3")
        ax.set_xlim(-4, 12)
        ax.set_ylim(-1, 1)
        ax.set_yticks([])
        ax.set_xlabel("harmful change, %", fontsize=8)
        ax.tick_params(labelsize=8)
        for side in ("left", "right", "top"):
            ax.spines[side].set_visible(False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    launch(main)
