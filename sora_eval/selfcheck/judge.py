"""Measurements to rows and responses, and whether every claim holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from sora_eval.metrics.base import ClipMetric, Output, SetMetric
from sora_eval.metrics.create import Metrics
from sora_eval.registry.metrics import METRICS
from sora_eval.selfcheck.claims import CLAIMS, Claim
from sora_eval.selfcheck.material import Cell, Material
from sora_eval.selfcheck.measure import Measurements
from sora_eval.selfcheck.paired import info_of
from sora_eval.selfcheck.responses import LEAST_PAIRS, NOTICED, direction, paired_effect, rank_correlation, set_effect
from sora_eval.selfcheck.result import Detection, Response, Result, Row
from sora_eval.stats.distances import set_statistic
from sora_eval.video.corruptions import CLEAN, CORRUPTIONS, STRENGTHS


def judge(material: Material, metrics: Metrics, measurements: Measurements, clips: str) -> Result:
    """Rows of every output and treatment, the response of every output to every corruption, and the metrics that catch it."""
    rows: list[Row] = []
    instances: dict[str, ClipMetric | SetMetric] = {**metrics.per_clip, **metrics.sets}
    for name, metric in instances.items():
        for output in metric.outputs:
            rows += _rows(name, metric, output, measurements, len(material.cases))
    corruptions = tuple(dict.fromkeys(c.kind for c in measurements.cells if c.kind in CORRUPTIONS))
    by_key = {(r.metric, r.corruption, r.strength): r for r in rows}
    summary = [
        _response(by_key, output, info_of(name).family, corruption, exact=material.exact)
        for name, metric in instances.items()
        for output in metric.outputs
        for corruption in corruptions
    ]
    complete = _complete_families(set(instances))
    detections = [_detection(c, summary, complete) for c in corruptions] if material.exact else []
    return Result(clips, len(material.cases), material.exact, rows, summary, detections, metrics.missing)


def _rows(name: str, metric: ClipMetric | SetMetric, output: Output, measurements: Measurements, n: int) -> Iterator[Row]:
    info = info_of(name)
    for cell in measurements.cells:
        if isinstance(metric, SetMetric):
            value, change, effect, scored, reason = _set_value(metric, measurements, cell)
            key = metric.extractor.signature
        else:
            scores = measurements.values[output.name, cell]
            clean = measurements.values[output.name, Cell(CLEAN)]
            scored, key = int(np.isfinite(scores).sum()), output.name
            value = float(np.nanmean(scores)) if scored else None
            both = np.isfinite(scores) & np.isfinite(clean)
            change = float((scores - clean)[both].mean()) if both.any() else None
            effect, reason = paired_effect(clean, scores), ""
        if scored < n:
            reason = "; ".join(filter(None, [reason, _reasons(measurements.reasons[key, cell])]))
        yield Row(
            output.name,
            info.family,
            info.kind,
            output.unit,
            output.higher_is_better,
            cell.kind,
            cell.strength,
            value,
            change,
            effect,
            scored,
            n,
            "ok" if value is not None else "undefined",
            reason,
            metric.signature,
        )


def _set_value(
    metric: SetMetric, measurements: Measurements, cell: Cell
) -> tuple[float | None, float | None, float | None, int, str]:
    """(value, change, effect, clips, reason) of the clips with features under this treatment and clean."""
    signature = metric.extractor.signature
    if (signature, cell) not in measurements.vectors:
        return None, None, None, 0, "set metrics are not shown this corruption by default; name it with --corruptions"
    clean, damaged = measurements.vectors[signature, Cell(CLEAN)], measurements.vectors[signature, cell]
    real = measurements.reference[signature]
    both = [i for i in damaged if i in clean]
    if not both or not real:
        return None, None, None, len(both), "" if both else "no clip has features"
    sets = [np.stack([source[i] for i in both]) for source in (clean, damaged)]
    statistic, (a, b, reference) = set_statistic(metric.statistic, *sets, np.stack(list(real.values())))
    if min(len(both), len(real)) < statistic.least:
        return None, None, None, len(both), f"{len(both)} clips; a value needs {statistic.least}"
    change, effect = set_effect(a, b, lambda rows: statistic(rows, reference), statistic.least)
    return statistic(b, reference), change, effect, len(both), ""


def _reasons(counts: Counter[str]) -> str:
    """The reasons for missing scores, the most frequent first, with their counts."""
    return "; ".join(f"{number} clips: {reason}" for reason, number in counts.most_common(3))


def _response(
    rows: dict[tuple[str, str, float], Row], output: Output, family: str, corruption: str, *, exact: bool
) -> Response:
    graded = [rows[output.name, corruption, s] for s in STRENGTHS]
    correlation = rank_correlation(STRENGTHS, [r.change for r in graded])
    effect, least = graded[-1].effect_sd, graded[0].effect_sd
    response = direction(correlation, effect, output.higher_is_better)
    claim = CLAIMS.get((output.name, corruption))
    note = claim.why if claim else ""
    if response == "unknown":
        note = graded[-1].reason or f"too few clips changed or kept a score: {LEAST_PAIRS} pairs at three strengths are needed"
    ok = _holds(claim, response, graded, exact=exact)
    return Response(
        output.name, family, corruption, correlation, effect, least, response, claim.expects if claim else "", ok, note
    )


def _holds(claim: Claim | None, response: str, rows: list[Row], *, exact: bool) -> bool | None:
    """Whether a claim holds on the rows of all strengths; None for what could not be measured, and for blind spots on other
    clips than the world's."""
    if claim is None or response == "unknown" or (claim.blind_spot and not exact):
        return None
    least, effect = rows[0].effect_sd, rows[-1].effect_sd
    if claim.expects == "blind to little":
        return least is not None and abs(least) < NOTICED
    if claim.expects == "worse to little":
        return least is not None and (least if rows[0].higher_is_better is False else -least) >= NOTICED
    if claim.expects in ("better", "worse at full"):  # the damaged clip wins or loses, graded or not
        sign = 1.0 if rows[-1].higher_is_better == (claim.expects == "better") else -1.0
        return effect is not None and sign * effect >= NOTICED
    return response == claim.expects


def _complete_families(metrics: set[str]) -> set[str]:
    """Families whose built-in metrics are all among `metrics`."""
    built_in = METRICS.built_in
    return {f for f in {i.family for i in built_in.values()} if all(n in metrics for n, i in built_in.items() if i.family == f)}


def _detection(corruption: str, summary: list[Response], complete: set[str]) -> Detection:
    families = CORRUPTIONS[corruption].caught_by
    responses = [r for r in summary if r.corruption == corruption and r.family in families]
    by = [r for r in responses if r.direction == "worse" or (r.direction in ("up", "down") and r.direction == r.claimed)]
    by.sort(key=lambda r: -abs(r.effect_sd or 0.0))
    measured = {r.family for r in responses if r.direction != "unknown"}
    sure = set(families) <= complete & measured
    return Detection(corruption, families, tuple(r.metric for r in by), True if by else (False if sure else None))
