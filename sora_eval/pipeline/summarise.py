"""Summarising: metrics.jsonl and attribution.jsonl from the scores, features and timings on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.metrics.base import ClipMetric, Output, SetMetric
from sora_eval.metrics.create import Metrics, make_metrics
from sora_eval.metrics.distribution import FVD
from sora_eval.pipeline.oracles import PREFIX, measured
from sora_eval.pipeline.score import REFERENCE
from sora_eval.pipeline.score_clip import signature_of
from sora_eval.records.bucket import Axis, Bucket, describe, pooling_note
from sora_eval.records.case import Case
from sora_eval.registry.metrics import REGISTRY
from sora_eval.runs.folder import RunFolder
from sora_eval.speed import summary as speed
from sora_eval.stats.attribution import attribution
from sora_eval.stats.distances import set_statistic
from sora_eval.stats.intervals import Interval, jackknife_interval, mean_interval, split_halves, two_sample_p
from sora_eval.suite import Suite
from sora_eval.util.errors import RefusedError

DISTANCES = ("fvd", "kvd")  # larger means further apart, so a permutation test can ask whether they are
NO_INTERVAL = Interval(None, None, "none: resampling one set moves its bias; compare two runs instead")

Row = dict[str, Any]
Scores = dict[str, dict[str, Row]]  # by metric, then by case


@dataclass(frozen=True)
class _Slice:
    """Cases that a row is about: all of them, or one bucket. `buckets` holds those whose clip is known."""

    label: str
    ids: list[str]
    buckets: dict[str, Bucket]

    def columns(self, ids: list[str], sensitive: tuple[Axis, ...]) -> Row:
        """What a row of these cases says of buckets and pooling."""
        return describe([self.buckets[i] for i in ids if i in self.buckets], sensitive)


def summarise(folder: RunFolder, suite: Suite, cases: list[Case]) -> None:
    """Rebuild metrics.jsonl and attribution.jsonl from the scores, features and timings on disk."""
    metrics = make_metrics(suite.metrics, suite.prompt_list or [c.prompt for c in cases])
    samples = {row["id"]: row for row in folder.rows("samples")}
    slices = _slices(cases, samples)
    prompt_of = {c.id: c.prompt.id for c in cases}
    rows: list[Row] = []
    scores: Scores = {}
    for row in folder.rows("scores"):
        scores.setdefault(row["metric"], {})[row["id"]] = row
    attributions: list[Row] = []
    for name in suite.metrics:
        if name in metrics.missing:
            rows.append(_metric_row(name, "all", None, "error", metrics.missing[name], len(cases), 0))
            continue
        per_clip = metrics.per_clip.get(name)
        metric = per_clip or metrics.sets[name]
        signature, sensitive = signature_of(name, metric, suite), _sensitive(name, suite)
        for part in slices:
            if per_clip is not None:
                rows += _clip_metric_rows(per_clip, part, scores, prompt_of, signature, sensitive)
            else:
                rows += _set_metric_rows(name, metrics.sets[name], part, folder, scores, prompt_of, signature, sensitive)
        if name in DISTANCES:
            attributions += _attribution_rows(name, folder, signature)
    rows += _floor_rows(folder, suite, metrics, slices[0], prompt_of)
    timings = folder.rows("timings")
    if suite.throughput is not None and timings:
        head = folder.head
        signature = speed.signature_of(head)
        rows += speed.summarise(timings, signature)
    folder.replace("metrics", rows)
    folder.replace("attribution", attributions)
    errors = sum(r["status"] == "error" for r in samples.values())
    folder.update_head(cases=len(cases), failed_cases=errors, failed_metrics=sum(r["status"] == "error" for r in rows))


def _sensitive(name: str, suite: Suite) -> tuple[Axis, ...]:
    """What a metric's scores must not be pooled over in silence: not what it is invariant to, nor what the canvas fixes."""
    info = REGISTRY[name]
    fixed = suite.canonical.fixed if suite.canonical and not info.pixels else ()
    return tuple(axis for axis in info.sensitive_to if axis not in fixed)


def _slices(cases: list[Case], samples: dict[str, Row]) -> list[_Slice]:
    """All cases, and one slice a bucket where there are several. A label names the rate only where rates differ."""
    buckets = {c.id: b for c in cases if (b := _bucket(samples.get(c.id), c)) is not None}
    whole = _Slice("all", [c.id for c in cases], buckets)
    rates = {b.fps for b in buckets.values()}
    labels = {i: str(b) if len(rates) > 1 else str(b).partition("@")[0] for i, b in buckets.items()}
    names = [labels.get(c.id, c.shape) for c in cases]
    if len(set(names)) == 1:
        return [whole]
    return [
        whole,
        *(_Slice(n, [c.id for c, m in zip(cases, names, strict=True) if m == n], buckets) for n in dict.fromkeys(names)),
    ]


def _bucket(sample: Row | None, case: Case) -> Bucket | None:
    """Where a clip belongs: what was made, or else what was asked for; None where neither is known."""
    if sample is not None and sample["width"]:
        return Bucket(sample["width"], sample["height"], sample["frames"], sample["fps"])
    if case.width and case.height and case.num_frames and case.fps:
        return Bucket(case.width, case.height, case.num_frames, case.fps)
    return None


def _metric_row(
    name: str,
    label: str,
    value: float | None,
    status: str,
    reason: str,
    expected: int,
    scored: int,
    interval: Interval | None = None,
    unit: str = "",
    higher: bool | None = None,
    signature: str = "",
    **extra: Any,
) -> Row:
    interval = interval or Interval(None, None, "")
    return {
        "metric": name,
        "slice": label,
        "value": value,
        "status": status,
        "reason": reason,
        "n_expected": expected,
        "n_scored": scored,
        "low": interval.low,
        "high": interval.high,
        "method": interval.method,
        "unit": unit,
        "higher_is_better": higher,
        "signature": signature,
        **extra,
    }


def _why_missing(rows: list[Row]) -> str:
    """The reasons of missing scores, the most frequent first, with their counts."""
    counts = Counter(r["reason"] if r["status"] == "undefined" else "clips that failed" for r in rows)
    return "; ".join(f"{n} x {reason}" for reason, n in counts.most_common(3))


def _joined(*reasons: str) -> str:
    return "; ".join(r for r in reasons if r)


def _clip_metric_rows(
    metric: ClipMetric,
    part: _Slice,
    scores: Scores,
    prompt_of: dict[str, str],
    signature: str,
    sensitive: tuple[Axis, ...],
) -> list[Row]:
    metric.reset()
    own = [{o.name: scores.get(o.name, {}).get(i) for o in metric.outputs} for i in part.ids]
    metric.update([{n: r["value"] if r else None for n, r in per_case.items()} for per_case in own])
    out = []
    for output, mean in zip(metric.outputs, metric.compute().reshape(-1).tolist(), strict=True):
        rows = [r[output.name] for r in own]
        ok = [r for r in rows if r is not None and r["value"] is not None]
        missing = [r for r in rows if r is not None and r["value"] is None]
        interval = _interval(output, [r["value"] for r in ok], [prompt_of[r["id"]] for r in ok]) if ok else None
        status = "ok" if ok else ("error" if any(r["status"] == "error" for r in missing) else "undefined")
        columns = part.columns([r["id"] for r in ok], sensitive)
        out.append(
            _metric_row(
                output.name,
                part.label,
                mean if ok else None,
                status,
                _joined(_why_missing(missing), pooling_note(columns)),
                len(part.ids),
                len(ok),
                interval,
                output.unit,
                output.higher_is_better,
                signature,
                **columns,
            )
        )
    return out


def _floor_rows(folder: RunFolder, suite: Suite, metrics: Metrics, whole: _Slice, prompt_of: dict[str, str]) -> list[Row]:
    """A row a (metric, floor), with the slice `floor:GENERATOR`."""
    rows, kept = [], folder.rows("floors")
    for spec in suite.floors.generators if suite.floors else ():
        part = _Slice(PREFIX + spec, whole.ids, whole.buckets)
        own = [r for r in kept if r["floor"] == spec]
        unopened = [r["reason"] for r in own if not r["id"]]
        scores: Scores = {}
        for row in own:
            scores.setdefault(row.get("metric", ""), {})[row["id"]] = row
        for name in measured(suite):
            metric = metrics.per_clip.get(name)
            if metric is None:
                continue  # its own row says why
            if unopened:
                rows.append(_metric_row(name, part.label, None, "error", unopened[0], len(part.ids), 0))
            else:
                rows += _clip_metric_rows(
                    metric, part, scores, prompt_of, signature_of(name, metric, suite), _sensitive(name, suite)
                )
    return rows


def _interval(output: Output, values: list[float], prompts: list[str]) -> Interval:
    found = mean_interval(values, prompts)
    if found.low is None or found.high is None:
        return found
    return Interval(output.cut(found.low), output.cut(found.high), found.method)


def _set_metric_rows(
    name: str,
    metric: SetMetric,
    part: _Slice,
    folder: RunFolder,
    scores: Scores,
    prompt_of: dict[str, str],
    signature: str,
    sensitive: tuple[Axis, ...],
) -> list[Row]:
    """The row of a set metric, and after it those of its further outputs."""
    output = metric.outputs[0]
    ids, made = _vectors(folder.load_features(name), ids=set(part.ids))
    stored = folder.load_features(REFERENCE + name)
    # A bucket is compared with the clips of its own bucket; all clips with all of the reference set.
    wanted = None if part.label == "all" else {str(part.buckets[i]) for i in part.ids if i in part.buckets}
    clips, real = _vectors(stored, buckets=wanted, column="clips")
    columns = part.columns(ids, sensitive)
    reasons = [_why_missing([r for i, r in scores.get(name, {}).items() if i in set(part.ids)]), pooling_note(columns)]
    common: Row = {
        "unit": output.unit,
        "higher": output.higher_is_better,
        "signature": f"{signature}|reference:{_hash(clips) if stored else 'none'}",
        **columns,
    }
    if not stored:
        reasons.append("no reference set: give one with --reference folder:PATH")
    elif len(stored["failed"]):
        reasons.append(f"reference: {len(stored['failed'])} clips left out ({stored['failed'][0]})")
    least = metric.least
    if not stored or min(len(made), len(real)) < least:
        if stored:
            reasons.append(f"{len(made)} generated and {len(real)} reference clips; at least {least} of each are needed")
        row = _metric_row(name, part.label, None, "undefined", _joined(*reasons), len(part.ids), len(made), **common)
        return [row, *(_infinity_row(metric, part, o, None, row) for o in metric.outputs[1:])]
    metric.reset()
    metric.update(made)
    metric.update(real, real=True)
    value = float(metric.compute())
    statistic, (a, b) = set_statistic(metric.signature, made, real)
    interval = NO_INTERVAL
    if name == "kvd":
        prompts = np.array([prompt_of[i] for i in ids])
        interval = jackknife_interval(
            [statistic(a[prompts != p], b) for p in np.unique(prompts) if (prompts != p).sum() >= 2], value
        )
    null, size = split_halves(b, len(made), statistic) if len(b) >= 2 * least else (None, 0)
    p = two_sample_p(a, b, statistic) if name in DISTANCES else None
    against = "" if null is None else f"the reference against itself at n={size}: {null:.4g}"
    row = _metric_row(
        name,
        part.label,
        value,
        "ok",
        _joined(f"{len(b)} reference clips", against, *reasons),
        len(part.ids),
        len(made),
        interval,
        **common,
        p=p,
        null=null,
        null_n=size,
    )
    return [row, *(_infinity_row(metric, part, o, len(b), row) for o in metric.outputs[1:])]


def _infinity_row(metric: SetMetric, part: _Slice, output: Output, reference: int | None, whole: Row) -> Row:
    """The value for n -> infinity, or why it cannot be known."""
    assert isinstance(metric, FVD)
    value, reason = None, whole["reason"]
    if reference is not None:
        try:
            value, reason = metric.compute_infinity(), f"{reference} reference clips"
        except RefusedError as refusal:
            reason = str(refusal)
    columns = {k: whole[k] for k in ("buckets", "sensitive_to", "pooled")}
    return _metric_row(
        output.name,
        part.label,
        value,
        "undefined" if value is None else "ok",
        reason,
        whole["n_expected"],
        whole["n_scored"],
        Interval(None, None, "intercept of a line in 1/n; both sets cut to the same n"),
        output.unit,
        output.higher_is_better,
        whole["signature"] + "|infinity:1/n",
        **columns,
    )


def _vectors(
    stored: dict[str, npt.NDArray[Any]], ids: set[str] | None = None, buckets: set[str] | None = None, column: str = "ids"
) -> tuple[list[str], npt.NDArray[Any]]:
    """A column and the vectors of a features file, of the wanted cases or buckets only."""
    if not stored:
        return [], np.empty((0, 0), np.float32)
    keep = np.ones(len(stored["ids"]), bool)
    for name, wanted in (("ids", ids), ("buckets", buckets)):
        if wanted is not None:
            keep &= np.isin(stored[name], list(wanted))
    return stored[column][keep].tolist(), stored["values"][keep]


def _attribution_rows(name: str, folder: RunFolder, signature: str) -> list[Row]:
    """How much the distance falls when each clip leaves; none where there is no distance or too few clips."""
    made, real = folder.load_features(name), folder.load_features(REFERENCE + name)
    if not made or not real or len(made["ids"]) < 3 or len(real["ids"]) < 2:
        return []
    values = attribution(signature, made["values"], real["values"])
    place = (-values).argsort(kind="stable").argsort(kind="stable") + 1
    full = f"{signature}|reference:{_hash(real['clips'].tolist())}"
    return [
        {"id": i, "metric": name, "value": float(v), "rank": int(r), "signature": full}
        for i, v, r in zip(made["ids"].tolist(), values, place, strict=True)
    ]


def _hash(clips: list[str]) -> str:
    """Hash of the reference clips: another reference set, another signature.

    Of the clips, not of their vectors, whose last digits are the machine's: else a baseline would hold on one machine only.
    """
    return hashlib.sha256("".join(sorted(clips)).encode()).hexdigest()[:12]
