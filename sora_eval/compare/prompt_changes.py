"""The change of a per-clip metric prompt by prompt, to be followed over many runs. Pure."""

from __future__ import annotations

import numpy as np

from sora_eval.compare.cases import account, same_clips, seed_columns
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
    values = [{i: r.value for i, r in data.scores.get(metric, {}).items() if r.value is not None} for data in (base, new)]
    a_ids, b_ids, _ = account(base, new, metric, label, [set(v) for v in values])
    if not a_ids:
        return {}
    clusters = [base.clusters[ids[0]] for ids in a_ids.values()]
    if same_clips(base, new, b_ids):
        a_ids = b_ids
    (a, base_seeds), (b, new_seeds) = (seed_columns(ids, v) for ids, v in zip((a_ids, b_ids), values, strict=True))
    if base_seeds == new_seeds:  # a place whose scores are of other seeds on either side has no pair
        paired = np.asarray((np.isfinite(a) & np.isfinite(b)).any(1))
        a, b, clusters = a[paired], b[paired], [c for c, known in zip(clusters, paired.tolist(), strict=True) if known]
    if not clusters:
        return {}
    changes, _ = seed_changes(a, b, [(base_seeds.index(s), j) for j, s in enumerate(new_seeds) if s in base_seeds])
    groups: dict[str, list[float]] = {}
    for cluster, change in zip(clusters, changes.tolist(), strict=True):
        groups.setdefault(cluster, []).append(change)
    return {cluster: float(np.mean(group)) for cluster, group in groups.items()}
