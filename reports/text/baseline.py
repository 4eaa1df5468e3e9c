"""A baseline as tables: its origin and its values."""

from __future__ import annotations

import pandas as pd

from sora_eval.compare.run_data import RunData
from sora_eval.gate.merging import seeds_of
from sora_eval.records.speed_metrics import IN_SHORT
from sora_eval_reports.numbers import number
from sora_eval_reports.text.calibration import limit_words
from sora_eval_reports.text.console import console
from sora_eval_reports.text.tables import terminal


def print_baseline(data: RunData) -> None:
    """Print its origin and its values over all cases; of speed, latency by shape."""
    head, out = data.head, console()
    facts = {
        "suite": str(head.suite),
        "generator": f"{data.label} ({head.generator.fingerprint})",
        "runs": f"{', '.join(data.runs)}; the first finished {head.finished}",
        "commit": head.git.commit or "-",
        "hardware": ", ".join(str(v) for v in head.hardware.values()),
        "profile": data.profile or "-",
        "limits": "; ".join(f"{metric} {limit_words(gate)}" for metric, gate in data.gates.items()) or "-",
        "cases": f"{len(data.samples)}, {seeds_of(data)} seeds per prompt and shape",
    }
    rows = [
        {
            "metric": r.metric if r.slice == "all" else f"{r.metric} {r.slice}",
            "value": number(r.value),
            "n": f"{r.n_scored}/{r.n_expected}",
            "unit": r.unit,
        }
        for r in data.metrics.values()
        if r.slice == "all" or r.metric in IN_SHORT
    ]
    out.print(terminal(pd.DataFrame(facts.items(), columns=["what", "it is"]), data.path), "")
    out.print(terminal(pd.DataFrame(rows, columns=["metric", "value", "n", "unit"]), "values"))
