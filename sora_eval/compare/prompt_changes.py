"""The change of a per-clip metric prompt by prompt, to be followed over many runs. Pure."""

from __future__ import annotations

import numpy as np

from sora_eval.compare.cases import seed_table
from sora_eval.compare.difference import unlike
from sora_eval.compare.run_data import RunData
from sora_eval.stats.seeds import seed_changes


def prompt_changes(base: RunData, new: RunData, metric: str, label: str = "all") -> dict[str, float]:
    """New minus base of every cluster of prompts, the mean over its shapes, in the metric's unit, as `difference` takes it.

    Clusters without a score on either side are left out; empty where the two runs cannot be compared on this metric: other
    suites or signatures, a metric without scores of clips.
    """
    rows = [data.metrics.get((metric, "all")) for data in (base, new)]
    if rows[0] is None or rows[1] is None or rows[0].signature != rows[1].signature or unlike(base, new):
        return {}
    table, _ = seed_table(base, new, metric, label)
    if table is None:
        return {}
    changes, _ = seed_changes(table.base, table.new, table.shared)
    groups: dict[str, list[float]] = {}
    for cluster, change in zip(table.clusters, changes.tolist(), strict=True):
        groups.setdefault(cluster, []).append(change)
    return {cluster: float(np.mean(group)) for cluster, group in groups.items()}
