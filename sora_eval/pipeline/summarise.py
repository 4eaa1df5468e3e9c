"""Summarises a run: metrics.jsonl and attribution.jsonl from the scores, features and timings on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sora_eval.metrics.asking import code_of
from sora_eval.metrics.base import ClipMetric, Output, SetMetric
from sora_eval.metrics.create import Metrics, make_metrics
from sora_eval.pipeline.oracles import PREFIX, oracle_metrics
from sora_eval.pipeline.score_clip import signature_of
from sora_eval.pipeline.slices import Slice, summary_slices
from sora_eval.pipeline.summarise_sets import attribution_rows, set_rows
from sora_eval.records.bucket import Axis, pooling_note
from sora_eval.records.case import Case
from sora_eval.records.clusters import clusters_of
from sora_eval.registry.metrics import metric_info, outputs_of
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import AttributionRow, MetricRow, OracleRow, SampleRow, ScoreRow, Status, TimingRow
from sora_eval.speed import summary as speed
from sora_eval.stats.cluster_means import mean_interval
from sora_eval.stats.intervals import Interval
from sora_eval.suite import Suite
from sora_eval.util.collection import uncollected
from sora_eval.util.errors import MetricError
from sora_eval.util.redaction import redact

Scores = dict[str, dict[str, ScoreRow]]  # by metric, then by case


@uncollected()
def summarise(folder: RunFolder, suite: Suite, cases: list[Case]) -> None:
    """Rebuild metrics.jsonl and attribution.jsonl from the scores, features and timings on disk."""
    metrics = make_metrics(suite.metrics, suite.prompt_list or [c.prompt for c in cases])
    samples = {row.id: row for row in folder.rows(SampleRow)}
    slices = summary_slices(cases, samples)
    cluster_of = clusters_of((c.id, c.prompt.id, c.prompt.text) for c in cases)
    scores = by_metric(folder.rows(ScoreRow))
    rows: list[MetricRow] = []
    attributions: list[AttributionRow] = []
    for name in suite.metrics:
        if name in metrics.missing:
            rows += failed_rows(name, "all", metrics.missing[name], len(cases))
            continue
        metric = metrics.per_clip[name] if name in metrics.per_clip else metrics.sets[name]
        signature, sensitive = signature_of(name, metric, suite), sensitive_to(name, metric, suite)
        try:
            with code_of(name):
                if isinstance(metric, ClipMetric):
                    of_metric = [
                        r for p in slices for r in clip_rows(name, metric, p, scores, cluster_of, signature, sensitive)
                    ]
                else:
                    of_metric = _set_rows(name, metric, slices, folder, scores, cluster_of, signature, sensitive)
                    attributions += attribution_rows(metric, folder, signature)
        except MetricError as error:  # a user's class that breaks when its value is computed
            of_metric = failed_rows(name, "all", str(error), len(cases))
        rows += of_metric
    rows += _oracle_rows(folder, suite, metrics, slices[0], cluster_of)
    timings = folder.rows(TimingRow)
    if suite.throughput is not None and timings:
        rows += speed.summarise(timings, speed.signature_of(folder.head))
    folder.replace(MetricRow, rows)
    folder.replace(AttributionRow, attributions)
    failed = {r.id for r in samples.values() if r.status == "error"}
    failed |= {r.id for by_case in scores.values() for r in by_case.values() if r.status == "error"}
    broken = {r.metric for r in rows if r.status == "error"}
    folder.update_head(cases=len(cases), failed_cases=len(failed), failed_metrics=len(broken))


def _set_rows(
    name: str,
    metric: SetMetric,
    slices: Sequence[Slice],
    folder: RunFolder,
    scores: Scores,
    cluster_of: Mapping[str, str],
    signature: str,
    sensitive: tuple[Axis, ...],
) -> list[MetricRow]:
    rows, stored = [], scores.get(metric.outputs[0].name, {})
    for part in slices:
        why = why_missing(part, [stored[i] for i in part.ids if i in stored])
        rows += set_rows(name, metric, part, folder, why, cluster_of, signature, sensitive)
    return rows


def by_metric(rows: Sequence[ScoreRow]) -> Scores:
    """Rows of scores by metric, then by case id; the last row of a case counts."""
    scores: Scores = {}
    for row in rows:
        scores.setdefault(row.metric, {})[row.id] = row
    return scores


def sensitive_to(name: str, metric: ClipMetric | SetMetric, suite: Suite) -> tuple[Axis, ...]:
    """The axes over which a metric's scores must not be pooled silently: not those of its invariance or of the canvas."""
    info = metric_info(name)
    fixed = suite.canonical.fixed if suite.canonical and not info.pixels else ()
    unseen = metric.unseen if isinstance(metric, SetMetric) else frozenset()
    return tuple(axis for axis in info.sensitive_to if axis not in fixed and axis not in unseen)


def failed_rows(name: str, label: str, reason: str, expected: int) -> list[MetricRow]:
    """The rows of a metric that could not be created, one per output."""
    return [
        MetricRow(
            metric=output,
            slice=label,
            value=None,
            status="error",
            reason=reason,
            n_expected=expected,
            declared=name,
            family=metric_info(name).family,
        )
        for output in outputs_of(name)
    ]


def why_missing(part: Slice, rows: Sequence[ScoreRow]) -> str:
    """The three most frequent reasons of missing scores, with their counts: `2 x clips that failed; 1 x too short`."""
    counts = Counter("clips that failed" if r.id in part.failed else r.reason for r in rows)
    return "; ".join(f"{n} x {reason}" for reason, n in counts.most_common(3))


def _notes(rows: Sequence[ScoreRow]) -> str:
    """What scores that exist say of themselves, with their counts."""
    counts = Counter(r.reason for r in rows if r.value is not None and r.reason)
    return "; ".join(f"{n} x {note}" for note, n in counts.most_common(3))


def clip_rows(
    name: str,
    metric: ClipMetric,
    part: Slice,
    scores: Mapping[str, Mapping[str, ScoreRow]],
    cluster_of: Mapping[str, str],
    signature: str,
    sensitive: tuple[Axis, ...],
) -> list[MetricRow]:
    """A row per output of a per-clip metric on one slice: mean, interval over prompts, and what is missing."""
    metric.reset()
    # By case id: sums of floats and resamples must not depend on the order in which a folder was read.
    cases = [{o.name: scores.get(o.name, {}).get(i) for o in metric.outputs} for i in sorted(part.ids)]
    metric.update([{n: r.value if r else None for n, r in per_case.items()} for per_case in cases])
    out = []
    for output, mean in zip(metric.outputs, metric.compute().reshape(-1).tolist(), strict=True):
        rows = [r for per_case in cases if (r := per_case[output.name]) is not None]
        scored = [(r.id, r.value) for r in rows if r.value is not None]
        missing = [r for r in rows if r.value is None]
        values = [value for _, value in scored]
        interval = _interval(output, values, [cluster_of[i] for i, _ in scored]) if scored else Interval(None, None, "")
        status: Status = "ok" if scored else ("error" if any(r.status == "error" for r in missing) else "undefined")
        pooling = part.pooling([i for i, _ in scored], sensitive)
        out.append(
            MetricRow(
                metric=output.name,
                slice=part.label,
                value=mean if scored else None,
                status=status,
                reason="; ".join(filter(None, [why_missing(part, missing), _notes(rows), pooling_note(pooling)])),
                n_expected=len(part.ids),
                n_scored=len(scored),
                low=interval.low,
                high=interval.high,
                method=interval.method,
                unit=output.unit,
                span=output.span,
                higher_is_better=output.higher_is_better,
                signature=signature,
                declared=name,
                family=metric_info(name).family,
                buckets=pooling.buckets,
                sensitive_to=pooling.sensitive_to,
                pooled=pooling.pooled,
            )
        )
    return out


def _oracle_rows(
    folder: RunFolder, suite: Suite, metrics: Metrics, whole: Slice, cluster_of: Mapping[str, str]
) -> list[MetricRow]:
    """A row per (metric, oracle), with the slice `oracle:GENERATOR`."""
    rows: list[MetricRow] = []
    stored = folder.rows(OracleRow)
    for spec in map(redact, suite.oracles.generators if suite.oracles else ()):
        part = Slice(PREFIX + spec, whole.ids, whole.buckets)
        unopened = [r.reason for r in stored if r.oracle == spec and not r.id]
        scores = by_metric([r for r in stored if r.oracle == spec])
        for name in oracle_metrics(suite):
            metric = metrics.per_clip.get(name)
            if metric is None:
                continue  # its own row says why
            if unopened:
                rows += failed_rows(name, part.label, unopened[0], len(part.ids))
            else:
                signature, sensitive = signature_of(name, metric, suite), sensitive_to(name, metric, suite)
                rows += clip_rows(name, metric, part, scores, cluster_of, signature, sensitive)
    return rows


def _interval(output: Output, values: list[float], prompts: list[str]) -> Interval:
    interval = mean_interval(values, prompts, span=output.span)
    if interval.low is None or interval.high is None:
        return interval
    return Interval(output.cut(interval.low), output.cut(interval.high), interval.method)
