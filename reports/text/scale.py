"""The scale of a suite as a table, and of a value as a bar."""

from __future__ import annotations

import pandas as pd

from sora_eval.records.scale import EMPTY, PERFECT, Scale
from sora_eval_reports.numbers import number
from sora_eval_reports.text.console import console, line
from sora_eval_reports.text.tables import terminal


def print_scale(scale: Scale) -> None:
    """Print the marks of every metric, and why some have no scale."""
    out = console()
    title = f"the scale of {scale.suite}, {scale.clips} cases: 0 at the better of {' and '.join(EMPTY)}, 1 at perfect clips"
    out.print(terminal(scale_table(scale), title), "")
    for metric, own in scale.metrics.items():
        if own.why_none:
            line(out, f"{metric} has no scale: {own.why_none}")


def scale_table(scale: Scale) -> pd.DataFrame:
    """One row per metric, as strings: the values of the marks, with a star at the one that is 0."""
    rows = []
    for metric, own in scale.metrics.items():
        cells = {name: number(mark.value, 3) + "*" * (name == own.zero) for name, mark in own.marks.items() if name != PERFECT}
        perfect = own.marks.get(PERFECT)
        rows.append({"metric": metric, PERFECT: number(perfect.value if perfect else None, 3), **cells})
    return pd.DataFrame(rows).fillna("-")
