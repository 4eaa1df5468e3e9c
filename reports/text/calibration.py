"""The output of `sora-eval calibrate`."""

from __future__ import annotations

import pandas as pd

from sora_eval.compare.drift_bounds import DriftBounds
from sora_eval.studies.calibration import Calibration, passes, smallest_seen
from sora_eval.suite import Gate
from sora_eval_reports.numbers import number
from sora_eval_reports.text.console import console, line
from sora_eval_reports.text.tables import terminal


def print_calibration(calibration: Calibration) -> None:
    """Print the table, the share of pairs that pass the whole gate, and why metrics are not in it."""
    held, asked = calibration.seeds
    title = f"{calibration.suite.suite.id}: {calibration.repeats} repeats of {calibration.label}"
    out = console()
    if calibration.spreads:
        out.print(terminal(spread_table(calibration), title, ["unit", "sd", "mean"]), "")
        pairs = len(next(iter(calibration.spreads.values())).pairs)
        words = (
            f"{100 * calibration.passing:.1f} % of {pairs} drawn pairs of {held} seeds per prompt in the baseline and {asked}"
        )
        line(out, f"these rows together PASS in {words} others in the run")
    for metric, why in calibration.unmeasured.items():
        line(out, f"no limit follows for {metric}: {why}")


def spread_table(calibration: Calibration) -> pd.DataFrame:
    """One row per metric: the spread of its repeats and the gate that follows.

    `detectable` is the change, in percent of the mean, that the gate finds with 80 % power beside the other gates.
    """
    rows = []
    for s in calibration.spreads.values():
        gate = calibration.gates[s.metric]
        smallest, passing = smallest_seen(s, gate, len(calibration.gates)), passes(s, gate)
        rows.append(
            {
                "metric": s.metric,
                "mean": number(s.mean),
                "sd": number(s.deviation),
                "sd %": number(100 * s.deviation / abs(s.mean)) if s.mean else "-",
                "limit": limit_words(gate),
                "least change": number(gate.min_change),
                "pairs that pass": f"{100 * sum(passing) / len(passing):.1f} %",
                "detectable %": number(100 * smallest / abs(s.mean)) if s.mean else "-",
                "unit": s.unit,
            }
        )
    return pd.DataFrame(rows)


def limit_words(gate: Gate) -> str:
    """The limits of a gate, and its window.

    >>> limit_words(Gate(max_increase=5.0, max_decrease=2.5))
    '+5 %, -2.5 %'
    """
    limits = (("+", gate.max_increase), ("-", gate.max_decrease))
    window = [f"{gate.window[0]:g} .. {gate.window[1]:g}"] if gate.window is not None else []
    return ", ".join([*(f"{sign}{limit:g} %" for sign, limit in limits if limit is not None), *window])


def print_drift(bounds: DriftBounds) -> None:
    """Print how far the repeats lie apart, and how often a case in which nothing changed is called DRIFTED."""
    rows = [{"output": name, "farthest of repeats": number(bound.value)} for name, bound in bounds.bounds.items()]
    out = console()
    out.print(terminal(pd.DataFrame(rows), f"{bounds.suite}: {' against '.join(bounds.runs)}"), "")
    share, many = 100 / (bounds.cases + 1), len(bounds.bounds)
    words = f"from {bounds.cases} cases: one in which nothing changed is past a bound in {share:.2g} % at most"
    out.print(f"{words}, past any of the {many} in {min(many * share, 100):.2g} %", soft_wrap=True)
