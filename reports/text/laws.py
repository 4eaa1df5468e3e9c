"""Law preference as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sora_eval.studies.law_preference import Preference, all_laws, p_equal
from sora_eval_reports.text.console import console
from sora_eval_reports.text.tables import terminal


def laws_table(preferences: Sequence[Preference]) -> pd.DataFrame:
    """One row per generator and law, and per generator over all, as strings; p is of equal error rates with the first one's."""
    rows = [*preferences, *all_laws(preferences)]
    first = {p.law: p for p in reversed(rows) if p.spec == rows[0].spec}
    return pd.DataFrame(
        [
            {
                "generator": p.spec,
                "law": p.law,
                "errors %": f"{100 * p.rate:.1f}" if p.margins else "-",
                "95 % interval": f"{100 * p.interval[0]:.1f} .. {100 * p.interval[1]:.1f}",
                "pairs": f"{p.errors}/{len(p.margins)}",
                "p": "" if p is first[p.law] else f"{p_equal(first[p.law], p):.2g}",
            }
            for p in rows
        ]
    )


def print_laws(preferences: Sequence[Preference], strength: float, seconds: float) -> None:
    """Print the table, how far the laws were broken, and how long the answers took."""
    broken = "" if strength == 1 else f", laws broken by {100 * strength:g} % of the default"
    console().print(terminal(laws_table(preferences), f"law preference: pairs whose unlawful clip is the likelier one{broken}"))
    pairs = sum(len(p.margins) for p in preferences)
    console().print(f"{pairs} pairs of {len({p.spec for p in preferences})} generators in {seconds:.1f} s, rendering included")
