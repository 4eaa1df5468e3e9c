"""Results of other programs as rows, to be shown and exported beside those of a run. Their signatures say whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sora_eval.formats.vbench_results import TOTALS, read_results, total
from sora_eval.runs.rows import MetricRow

VBENCH = "vbench."  # before the names of its dimensions


def vbench_rows(paths: Iterable[Path]) -> list[MetricRow]:
    """A row per dimension of VBench's result files, then its quality, semantic and total scores, which have no value and name
    what is missing unless every dimension is there.

    VBench records no interval, and not on which prompts and weights a number stands. Raises RunError as `read_results` does.
    """
    dimensions = read_results(paths)
    rows = [
        MetricRow(
            metric=f"{VBENCH}{name}",
            slice="all",
            value=d.mean,
            n_expected=d.videos,
            n_scored=d.videos,
            unit="1",
            higher_is_better=True,
            family="vbench",
            signature=f"vbench-result-file|{name}|sha256:{d.sha256[:12]}",
        )
        for name, d in dimensions.items()
    ]
    means = {name: d.mean for name, d in dimensions.items()}
    for name, needed in TOTALS.items():
        used = [dimension for dimension in needed if dimension in dimensions]
        try:
            value, status, reason = total(name, means), "ok", ""
        except ValueError as error:
            value, status, reason = None, "undefined", str(error)
        rows.append(
            MetricRow.model_validate(
                {
                    "metric": f"{VBENCH}{name}_score",
                    "slice": "all",
                    "value": value,
                    "status": status,
                    "reason": reason,
                    "n_expected": len(needed),
                    "n_scored": len(used),
                    "unit": "1",
                    "higher_is_better": True,
                    "family": "vbench",
                    "signature": f"vbench-result-file|{name}-score|{len(needed)}-dimensions|cal_final_score",
                }
            )
        )
    return rows
