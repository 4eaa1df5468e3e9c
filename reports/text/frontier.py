"""A frontier as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sora_eval.studies.frontier import Point
from sora_eval_reports.text.console import console
from sora_eval_reports.text.tables import terminal


def frontier_table(points: Sequence[Point], metric: str) -> pd.DataFrame:
    """One row per generator, as strings, in the order of the points."""
    return pd.DataFrame(
        [
            {
                "generator": p.label,
                f"gain of {metric} %": f"{p.gain[1]:.1f} ({p.gain[0]:.1f} .. {p.gain[2]:.1f})",
                "of a limit used up %": f"{100 * p.used:.0f} ({p.row})",
                "gate": str(p.verdict),
                "beaten": ", ".join(other.label for other in points if p.beaten_by(other)) or "-",
            }
            for p in points
        ]
    )


def print_frontier(points: Sequence[Point], metric: str) -> None:
    """Print the table; gains lie between one-sided 95 % bounds."""
    console().print(terminal(frontier_table(points, metric), "speed against quality"))
