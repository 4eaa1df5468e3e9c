"""Which part of a suite a change comes from: per-clip metrics by shape, length and tag, of one run or of two. Pure.

Slices are for exploration: there are many and nothing corrects for their number, so no gate reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sora_eval.compare.cases import seed_table
from sora_eval.compare.difference import unlike
from sora_eval.compare.run_data import RunData
from sora_eval.runs.slices import Kind, Slice
from sora_eval.stats.cluster_means import difference_interval, mean_interval
from sora_eval.stats.intervals import Interval
from sora_eval.stats.seeds import seed_changes


@dataclass(frozen=True)
class SliceRow:
    """One per-clip metric on one slice, in the metric's unit. `n` cases of `prompts` prompts have a score in every run.

    Of two runs: both means, the change and its interval over prompts; what answers what is decided as in a whole comparison,
    also under other seeds. Of one: the mean `new` and its interval.
    """

    metric: str
    kind: Kind
    slice: str
    base: float | None
    new: float
    change: float | None
    interval: Interval
    n: int
    prompts: int


def slice_rows(base: RunData | None, new: RunData, kinds: Sequence[Kind] = ("shape", "length", "tag")) -> list[SliceRow]:
    """A row per (slice, metric) with a score in every run; the intervals are computed as in `compare`. None for unlike runs."""
    if base is not None and unlike(base, new):
        return []
    parts = [part for part in new.slices if part.kind in kinds]
    rows = [_row(base, new, metric, part) for part in parts for metric in new.scores]
    return [row for row in rows if row is not None]


def _row(base: RunData | None, new: RunData, metric: str, part: Slice) -> SliceRow | None:
    row = new.metrics.get((metric, "all"))
    span = row.span if row is not None else None
    if base is None:
        known = [(r.value, new.clusters[i]) for i in part.ids if (r := new.scores[metric].get(i)) and r.value is not None]
        if not known:
            return None
        scores, prompts = np.array([value for value, _ in known]), [prompt for _, prompt in known]
        interval = mean_interval(scores, prompts, span=span)
        return SliceRow(
            metric, part.kind, part.label, None, float(scores.mean()), None, interval, len(known), len(set(prompts))
        )
    table, _ = seed_table(base, new, metric, part.label)
    if table is None:
        return None
    changes, _ = seed_changes(table.base, table.new, table.shared)
    return SliceRow(
        metric,
        part.kind,
        part.label,
        float(np.nanmean(table.base, 1).mean()),
        float(np.nanmean(table.new, 1).mean()),
        float(changes.mean()),
        difference_interval(changes, table.clusters, span=span),
        int(np.isfinite(table.new).sum()),
        len(set(table.clusters)),
    )
