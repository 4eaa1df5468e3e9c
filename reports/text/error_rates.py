"""The table of error rates."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sora_eval.records.verdict import Verdict
from sora_eval.studies.error_rates import SIGNIFICANT, WHOLE, GateErrors, Rates
from sora_eval_reports.text.console import console, line
from sora_eval_reports.text.tables import terminal

SEEN = 0.8  # share of draws with REGRESSED from which a metric detects a degradation


def print_rates(errors: GateErrors) -> None:
    """Print the rates of REGRESSED and of PASS, and the generators that each row of the gate detects."""
    out = console()
    for outcome in (Verdict.REGRESSED, Verdict.PASS):
        out.print(terminal(table(errors.rates, outcome).T.reset_index(names=""), f"{errors.suite}: {outcome}"), "")
    for arms in sees(errors.rates):
        line(out, f"seen by {arms}")


def table(rates: Sequence[Rates], outcome: str = Verdict.REGRESSED) -> pd.DataFrame:
    """One row per arm, as strings: the share of its draws with an outcome, by gated row and of the whole gate, in %."""
    rows = []
    for r in rates:
        names = [n for n in r.counts if n != WHOLE or outcome != SIGNIFICANT]
        rows.append({"new run": r.arm, "draws": r.draws, **{n: _share(r, n, outcome) for n in names}})
    return pd.DataFrame(rows)


def _share(rates: Rates, row: str, outcome: str) -> str:
    share, low, high = (100 * v for v in rates.rate(row, outcome))
    return f"{share:.1f} % ({low:.1f} .. {high:.1f})"


def sees(rates: Sequence[Rates]) -> list[str]:
    """For every row of the gate the arms that are REGRESSED in at least 80 % of the draws."""
    out = []
    for name in dict.fromkeys(n for r in rates for n in r.counts):
        arms = [r.arm for r in rates if name in r.counts and r.rate(name)[0] >= SEEN]
        out.append(f"{name}: {', '.join(arms) or 'none of these'}")
    return out
