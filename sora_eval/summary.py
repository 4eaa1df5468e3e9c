"""Summarising: metrics.jsonl from the scores, features and timings on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np

from sora_eval import throughput
from sora_eval.distances import set_statistic
from sora_eval.metrics.base import ClipMetric, SetMetric
from sora_eval.metrics.distribution import NEIGHBOURS
from sora_eval.runs import RunFolder
from sora_eval.scoring import REFERENCE, make_metrics
from sora_eval.statistics import Interval, jackknife_interval, mean_interval, split_halves, two_sample_p
from sora_eval.suite import Case, Suite

DISTANCES = ("fvd", "kvd")  # larger means further apart, so a permutation test can ask whether they are


def summarise(folder: RunFolder, suite: Suite, cases: list[Case]) -> None:
    """Rebuild metrics.jsonl from the scores, features and timings on disk."""
    metrics = make_metrics(suite, suite.prompt_list or [c.prompt for c in cases])
    samples = {row["id"]: row for row in folder.rows("samples")}
    shapes = {c.id: _bucket(samples.get(c.id), c) for c in cases}
    slices = {"all": [c.id for c in cases]}
    if len(set(shapes.values())) > 1:
        slices |= {shape: [c for c in shapes if shapes[c] == shape] for shape in dict.fromkeys(shapes.values())}
    prompt_of = {c.id: c.prompt.id for c in cases}
    rows: list[dict[str, Any]] = []
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for row in folder.rows("scores"):
        scores.setdefault(row["metric"], {})[row["id"]] = row
    for name in suite.metrics:
        if name in metrics.missing:
            rows.append(_metric_row(name, "all", None, "error", metrics.missing[name], len(cases), 0))
        elif name in metrics.per_clip:
            for label, ids in slices.items():
                rows += _clip_metric_rows(metrics.per_clip[name], label, ids, scores, prompt_of)
        else:
            rows.append(_set_metric_row(name, metrics.sets[name], folder, slices["all"], scores, prompt_of))
    timings = folder.rows("timings")
    if suite.throughput is not None and timings:
        head = folder.head
        signature = f"latency|batch:1|{head['hardware']['cpu']}|threads:{head['hardware']['cores']}"
        rows += throughput.summarise(timings, signature)
    folder.replace("metrics", rows)
    errors = sum(r["status"] == "error" for r in samples.values())
    folder.update_head(cases=len(cases), failed_cases=errors, failed_metrics=sum(r["status"] == "error" for r in rows))


def _bucket(sample: dict[str, Any] | None, case: Case) -> str:
    if sample is not None and sample["width"]:
        return f"{sample['width']}x{sample['height']}x{sample['frames']}"
    return case.shape


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
) -> dict[str, Any]:
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


def _why_missing(rows: list[dict[str, Any]]) -> str:
    """The reasons of missing scores, the most frequent first, with their counts."""
    counts = Counter(r["reason"] if r["status"] == "undefined" else "clips that failed" for r in rows)
    return "; ".join(f"{n} x {reason}" for reason, n in counts.most_common(3))


def _clip_metric_rows(
    metric: ClipMetric, label: str, ids: list[str], scores: dict[str, dict[str, dict[str, Any]]], prompt_of: dict[str, str]
) -> list[dict[str, Any]]:
    metric.reset()
    own = [{o.name: scores.get(o.name, {}).get(i) for o in metric.outputs} for i in ids]
    for per_case in own:
        metric.update({n: r["value"] if r else None for n, r in per_case.items()})
    out = []
    for output, mean in zip(metric.outputs, metric.compute().reshape(-1).tolist(), strict=True):
        rows = [r[output.name] for r in own]
        ok = [r for r in rows if r is not None and r["value"] is not None]
        missing = [r for r in rows if r is not None and r["value"] is None]
        interval = mean_interval([r["value"] for r in ok], [prompt_of[r["id"]] for r in ok]) if ok else None
        status = "ok" if ok else ("error" if any(r["status"] == "error" for r in missing) else "undefined")
        out.append(
            _metric_row(
                output.name,
                label,
                mean if ok else None,
                status,
                _why_missing(missing),
                len(ids),
                len(ok),
                interval,
                output.unit,
                output.higher_is_better,
                metric.signature,
            )
        )
    return out


def _set_metric_row(
    name: str,
    metric: SetMetric,
    folder: RunFolder,
    ids: list[str],
    scores: dict[str, dict[str, dict[str, Any]]],
    prompt_of: dict[str, str],
) -> dict[str, Any]:
    output = metric.outputs[0]
    made, real = folder.load_features(name), folder.load_features(REFERENCE + name)
    reasons = [_why_missing(list(scores[name].values()))] if name in scores else []
    n = len(made["ids"]) if made else 0
    common: dict[str, Any] = {
        "unit": output.unit,
        "higher": output.higher_is_better,
        "signature": f"{metric.signature}|reference:{_hash(real)}",
    }
    if not real:
        reasons.append("no reference set: give one with --reference folder:PATH")
    elif len(real["failed"]):
        reasons.append(f"reference: {len(real['failed'])} clips left out ({real['failed'][0]})")
    least = NEIGHBOURS + 1 if name in ("precision", "recall") else 2
    if not real or n < least or len(real["ids"]) < least:
        if real:
            reasons.append(f"{n} generated and {len(real['ids'])} reference clips; at least {least} of each are needed")
        return _metric_row(name, "all", None, "undefined", "; ".join(reasons), len(ids), n, **common)
    metric.reset()
    metric.update(made["values"])
    metric.update(real["values"], real=True)
    value = float(metric.compute())
    statistic, (a, b) = set_statistic(metric.signature, made["values"], real["values"])
    interval = Interval(None, None, "none: resampling one set moves its bias; compare two runs instead")
    if name == "kvd":
        prompts = np.array([prompt_of[i] for i in made["ids"]])
        interval = jackknife_interval(
            [statistic(a[prompts != p], b) for p in np.unique(prompts) if (prompts != p).sum() >= 2], value
        )
    null, part = split_halves(b, n, statistic) if len(b) >= 2 * least else (None, 0)
    p = two_sample_p(a, b, statistic) if name in DISTANCES else None
    reasons.insert(0, f"{len(b)} reference clips")
    if null is not None:
        reasons.insert(1, f"the reference against itself at n={part}: {null:.4g}")
    return _metric_row(
        name,
        "all",
        value,
        "ok",
        "; ".join(r for r in reasons if r),
        len(ids),
        n,
        interval,
        **common,
        p=p,
        null=null,
        null_n=part,
    )


def _hash(real: dict[str, Any]) -> str:
    """Hash of the reference vectors: another reference set, another signature."""
    return hashlib.sha256(np.ascontiguousarray(real["values"]).tobytes()).hexdigest()[:12] if real else "none"
