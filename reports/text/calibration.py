"""What `sora-eval calibrate` prints."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from reports.text.tables import number
from sora_eval.studies.calibration import Spread, passing, smallest_seen
from sora_eval.suite import Gate


def spread_table(spreads: Iterable[Spread], gates: Mapping[str, Gate], gated: Collection[str]) -> pd.DataFrame:
    """One row a metric: the spread of its repeats and the gate that follows. A star marks what the suite gates.

    `detectable` is the change, in per cent of the mean, that the gate finds with 80 % power beside the other gates.
    """
    rows = []
    for s in spreads:
        gate = gates[s.metric]
        limits = (("+", gate.max_increase), ("-", gate.max_decrease))
        seen = smallest_seen(s, gate, len(gated))
        rows.append(
            {
                "metric": s.metric + (" *" if s.metric in gated else ""),
                "mean": number(s.mean),
                "sd": number(s.deviation),
                "sd %": number(100 * s.deviation / abs(s.mean)) if s.mean else "-",
                "limit": ", ".join(f"{sign}{limit:g} %" for sign, limit in limits if limit is not None),
                "least change": number(gate.min_change),
                "pairs that pass": f"{passing(s, gate)}/{len(s.pairs)}",
                "detectable %": number(100 * seen / abs(s.mean)) if s.mean else "-",
                "unit": s.unit,
            }
        )
    return pd.DataFrame(rows)
