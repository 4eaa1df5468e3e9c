"""The output of `sora-eval calibrate`."""

from __future__ import annotations

import pandas as pd

from reports.text.console import console
from reports.text.tables import number, terminal
from sora_eval.studies.calibration import Calibration, passing, smallest_seen


def print_calibration(calibration: Calibration) -> None:
    """Print the table, and the gated metrics that are not in it."""
    title = f"{calibration.suite.suite.id}: {calibration.repeats} repeats of {calibration.label}"
    out = console()
    out.print(terminal(spread_table(calibration), title), "")
    if calibration.unmeasured:
        names = ", ".join(calibration.unmeasured)
        out.print(f"left as they are, without a spread over all cases: {names}", soft_wrap=True)


def spread_table(calibration: Calibration) -> pd.DataFrame:
    """One row per metric: the spread of its repeats and the gate that follows. A star marks gated metrics.

    `detectable` is the change, in percent of the mean, that the gate finds with 80 % power beside the other gates.
    """
    rows = []
    for s in calibration.spreads.values():
        gate = calibration.gates[s.metric]
        limits = (("+", gate.max_increase), ("-", gate.max_decrease))
        smallest = smallest_seen(s, gate, len(calibration.gated))
        rows.append(
            {
                "metric": s.metric + (" *" if s.metric in calibration.gated else ""),
                "mean": number(s.mean),
                "sd": number(s.deviation),
                "sd %": number(100 * s.deviation / abs(s.mean)) if s.mean else "-",
                "limit": ", ".join(f"{sign}{limit:g} %" for sign, limit in limits if limit is not None),
                "least change": number(gate.min_change),
                "pairs that pass": f"{passing(s, gate)}/{len(s.pairs)}",
                "detectable %": number(100 * smallest / abs(s.mean)) if s.mean else "-",
                "unit": s.unit,
            }
        )
    return pd.DataFrame(rows)
