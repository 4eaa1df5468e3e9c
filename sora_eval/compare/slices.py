"""Which part of a suite a change comes from: per-clip metrics by shape, length and tag, of one run or of two. Pure.

Slices are for exploration: there are many and nothing corrects for their number, so no gate reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sora_eval.compare.difference import unlike
from sora_eval.compare.run_data import RunData
from sora_eval.runs.slices import Kind, Slice
from sora_eval.stats.cluster_means import difference_interval, mean_interval
from sora_eval.stats.intervals import Interval


@dataclass(frozen=True)
class SliceRow:
    """One per-clip metric on one slice, in the metric's unit. `n` cases of `prompts` prompts have a score in every run.

    Of two runs: both means, the paired change and its interval over prompts. Of one: the mean `new` and its interval.
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
    pairs = []
    for case in part.ids:
        b = new.scores[metric].get(case)
        a = base.scores.get(metric, {}).get(case) if base is not None else b
        if a is not None and b is not None and a.value is not None and b.value is not None:
            pairs.append((a.value, b.value, new.clusters[case]))
    if not pairs:
        return None
    first, second = (np.array(values, np.float64) for values in zip(*((a, b) for a, b, _ in pairs), strict=True))
    prompts = [prompt for _, _, prompt in pairs]
    row = new.metrics.get((metric, "all"))
    span = row.span if row is not None else None
    paired = base is not None
    return SliceRow(
        metric,
        part.kind,
        part.label,
        float(first.mean()) if paired else None,
        float(second.mean()),
        float((second - first).mean()) if paired else None,
        difference_interval(second - first, prompts, span=span) if paired else mean_interval(second, prompts, span=span),
        len(pairs),
        len(set(prompts)),
    )
