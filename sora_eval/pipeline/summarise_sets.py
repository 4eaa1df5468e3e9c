"""Rows of set metrics: statistics of generated and reference vectors, slice by slice, and the effect of each clip."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.metrics.base import SetMetric
from sora_eval.pipeline.set_notes import set_notes
from sora_eval.pipeline.slices import Slice
from sora_eval.records.bucket import Axis, Bucket, pooling_note, unlike_reference
from sora_eval.registry.metrics import metric_info
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import AttributionRow, MetricRow
from sora_eval.runs.vectors import REFERENCE
from sora_eval.stats.attribution import attribution
from sora_eval.stats.distances import set_statistic
from sora_eval.stats.intervals import Interval, jackknife_interval, split_halves, two_sample_p

NO_INTERVAL = Interval(None, None, "none: resampling one set moves its bias; compare two runs instead")
Features = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Sets:
    """The vectors of one slice, (n, D) and (m, D), with their case ids (n) and the hashes of the reference clips (m)."""

    ids: list[str]
    generated: npt.NDArray[Any]
    clips: list[str]
    real: npt.NDArray[Any]


def set_rows(
    name: str,
    metric: SetMetric,
    part: Slice,
    folder: RunFolder,
    missing: str,
    cluster_of: Mapping[str, str],
    signature: str,
    sensitive: tuple[Axis, ...],
) -> list[MetricRow]:
    """The row of a set metric on one slice, then those of its further outputs; `missing` says why clips have no vector."""
    output = metric.outputs[0]
    stored = folder.load_features(REFERENCE + output.name)
    ids, generated = _vectors(folder.load_features(output.name), ids=set(part.ids))
    # A bucket is compared with the clips of its own bucket; all clips with all of the reference set.
    buckets = None if part.label == "all" else {str(part.buckets[i]) for i in part.ids if i in part.buckets}
    clips, real = _vectors(stored, buckets=buckets, column="clips")
    unlike = unlike_reference(
        [part.buckets[i] for i in ids if i in part.buckets],
        map(Bucket.parse, _vectors(stored, buckets=buckets, column="buckets")[0]),
        sensitive,
    )
    sets = _Sets(ids, generated, clips, real)
    pooling = part.pooling(ids, sensitive)
    reasons = [missing, pooling_note(pooling), unlike]
    if not stored:
        reasons.append("no reference set: give one with --reference folder:PATH")
    elif len(stored["failed"]):
        reasons.append(f"reference: {len(stored['failed'])} clips left out ({stored['failed'][0]})")
    row = MetricRow(
        metric=output.name,
        slice=part.label,
        value=None,
        status="undefined",
        n_expected=len(part.ids),
        n_scored=len(generated),
        unit=output.unit,
        higher_is_better=output.higher_is_better,
        signature=f"{signature}|reference:{hash_of(clips) if stored else 'none'}",
        declared=name,
        family=metric_info(name).family,
        buckets=pooling.buckets,
        sensitive_to=pooling.sensitive_to,
        pooled=pooling.pooled,
        unlike_reference=unlike,
        statistic=metric.statistic,
    )
    if not stored or min(len(generated), len(real)) < metric.least:
        if stored:
            reasons.append(
                f"{len(generated)} generated and {len(real)} reference clips; at least {metric.least} of each are needed"
            )
        row = row.model_copy(update={"reason": _joined(*reasons)})
        return [row, *_further_rows(metric, row, None)]
    metric.reset()
    metric.update(generated)
    metric.update(real, real=True)
    reasons += set_notes([part.clips.get(i, i) for i in ids], clips, metric.statistic, generated.shape[1])
    row = _measured(row, metric, sets, [cluster_of[i] for i in ids], reasons)
    return [row, *_further_rows(metric, row, len(real))]


def _measured(row: MetricRow, metric: SetMetric, sets: _Sets, prompts: Sequence[str], reasons: Sequence[str]) -> MetricRow:
    """The row with the value of two sufficiently large sets, its null and its p."""
    value = float(metric.compute())
    statistic, (a, b) = set_statistic(metric.statistic, sets.generated, sets.real)
    interval, clusters = NO_INTERVAL, np.array(prompts)
    if metric.statistic.is_unbiased:
        values = [statistic(a[clusters != p], b) for p in np.unique(clusters) if (clusters != p).sum() >= statistic.least]
        interval = jackknife_interval(values, value)
    null, size = split_halves(b, len(sets.generated), statistic) if len(b) >= 2 * metric.least else (None, 0)
    against = "" if null is None else f"the reference against itself at n={size}: {null:.4g}"
    return row.model_copy(
        update={
            "value": value,
            "status": "ok",
            "reason": _joined(f"{len(b)} reference clips", against, *reasons),
            "low": interval.low,
            "high": interval.high,
            "method": interval.method,
            "p": two_sample_p(a, b, statistic) if metric.statistic.is_distance else None,
            "null": null,
            "null_n": size,
        }
    )


def _further_rows(metric: SetMetric, whole: MetricRow, reference: int | None) -> list[MetricRow]:
    """Rows of the outputs after the first; `reference` is the number of reference clips, None where there is no value."""
    rows = []
    for output in metric.outputs[1:]:
        value, reason = None, whole.reason
        if reference is not None:
            score = metric.further(output)
            value, reason = score.value, score.reason or f"{reference} reference clips"
        rows.append(
            whole.model_copy(
                update={
                    "metric": output.name,
                    "value": value,
                    "status": "undefined" if value is None else "ok",
                    "reason": reason,
                    "low": None,
                    "high": None,
                    "method": metric.further_method,
                    "unit": output.unit,
                    "higher_is_better": output.higher_is_better,
                    "signature": f"{whole.signature}|{metric.further_protocol}",
                    "p": None,
                    "null": None,
                    "null_n": 0,
                    "statistic": None,
                }
            )
        )
    return rows


def attribution_rows(metric: SetMetric, folder: RunFolder, signature: str) -> list[AttributionRow]:
    """Rows of `stats.attribution`, the effect of each clip on a distance; empty for other statistics or too few clips."""
    name = metric.outputs[0].name
    generated, real = folder.load_features(name), folder.load_features(REFERENCE + name)
    if (
        not (metric.statistic.is_distance or metric.statistic.is_mean)
        or not generated
        or not real
        or len(generated["ids"]) < 3
        or len(real["ids"]) < 2
    ):
        return []
    values = attribution(metric.statistic, generated["values"], real["values"])
    rank = (-values).argsort(kind="stable").argsort(kind="stable") + 1
    full = f"{signature}|reference:{hash_of(real['clips'].tolist())}"
    return [
        AttributionRow(id=i, metric=name, value=float(v), rank=int(r), signature=full)
        for i, v, r in zip(generated["ids"].tolist(), values, rank, strict=True)
    ]


def _vectors(
    stored: Features, ids: set[str] | None = None, buckets: set[str] | None = None, column: str = "ids"
) -> tuple[list[str], npt.NDArray[Any]]:
    """A column and the vectors of a features file, of the selected cases or buckets only."""
    if not stored:
        return [], np.empty((0, 0), np.float32)
    mask = np.ones(len(stored["ids"]), bool)
    for name, selection in (("ids", ids), ("buckets", buckets)):
        if selection is not None:
            mask &= np.isin(stored[name], list(selection))
    return stored[column][mask].tolist(), stored["values"][mask]


def hash_of(clips: Sequence[str]) -> str:
    """Hash of the hashes of the reference clips, in any order, so that another reference set has another signature.

    The vectors differ in their last digits between machines; a hash of them would tie a baseline to one machine.

    >>> hash_of(["a", "b"]) == hash_of(["b", "a"]), len(hash_of([]))
    (True, 12)
    """
    return hashlib.sha256("".join(sorted(clips)).encode()).hexdigest()[:12]


def _joined(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))
