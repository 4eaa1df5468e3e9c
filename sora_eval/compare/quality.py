"""The change of a metric of quality between two runs: scores place by place, sets seed by seed. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.compare.cases import account, place_of, seed_of, seed_table
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import Features, RunData, rows_of
from sora_eval.records.verdict import OTHER_SEEDS, Verdict
from sora_eval.stats.cluster_means import clustered_error, difference_bounds, difference_interval, least_swap_p, sign_flip_p
from sora_eval.stats.distances import set_statistic
from sora_eval.stats.intervals import Interval, mcnemar_p, set_difference
from sora_eval.stats.seeds import Shared, permuted_labels_p, seed_changes
from sora_eval.stats.set_statistic import SetStatistic


def pairs(out: Difference, base: RunData, new: RunData, permutations: int, alpha: float) -> Difference:
    """`out` with the change of a per-clip metric: a difference per place, of which the prompt is the cluster."""
    if not any(out.metric in data.scores for data in (base, new)):
        reason = "neither run stores scores or vectors of it, so nothing can be paired; the values are shown"
        return replace(out, status=Verdict.INCONCLUSIVE, reason=reason)
    table, unpaired = seed_table(base, new, out.metric, out.slice)
    if table is None:
        return replace(
            out, status=Verdict.ERROR, reason=unpaired.words() or "no case has a score in both runs", unpaired=unpaired, n=0
        )
    a, b, prompts = table.base, table.new, table.clusters
    base_seeds, new_seeds, identical = table.base_seeds, table.new_seeds, table.identical
    changes, shared = seed_changes(a, b, table.shared)
    row, scores = new.metrics.get((out.metric, "all")), np.concatenate([a, b], 1)
    span = float(np.nanmax(scores) - np.nanmin(scores)) or (row.span if row is not None else None)
    units = len(set(prompts))
    interval, bounds = difference_interval(changes, prompts, 1 - alpha, span), difference_bounds(changes, prompts, alpha, span)
    if not changes.any() and (identical or (_same_weights(base, new) and {*new_seeds} <= {*base_seeds})):
        # The same weights and noise in other code: rounding that moves no score at all has not broken a prompt by chance.
        interval = bounds = Interval(
            0.0, 0.0, "the clips are identical" if identical else "no score of the same weights differs"
        )
    p = sign_flip_p(changes, prompts, permutations=permutations)
    note, method, one_each = unpaired.words(), interval.method, a.shape[1] == b.shape[1] == 1
    if one_each and np.isin(np.concatenate([a, b]), (0, 1)).all():
        counts = f"{int((a > b).sum())} cases are 1 in base only, {int((b > a).sum())} in new only"
        note = "; ".join(filter(None, [counts, note]))
        if units == len(a) > 1 and shared is not None:
            p, method = mcnemar_p(a[:, 0], b[:, 0]), f"{method}; McNemar"
    least = least_swap_p(units, permutations)
    if not one_each and p is not None:
        p = min(1.0, 2 * min(p, permuted_labels_p(a, b, prompts, permutations)))
        least = min(least, 2 / (permutations + 1))
    mean = float(np.nanmean(a, 1).mean())
    return replace(
        out,
        base=mean,
        new=float(np.nanmean(b, 1).mean()),
        change=float(changes.mean()),
        interval=replace(interval, method=method),
        bounds=bounds,
        p=p,
        error=clustered_error(changes, prompts),
        new_error=clustered_error(np.nanmean(b, 1), prompts),
        least_p=least,
        n=int(np.isfinite(b).sum()),
        units=units,
        note=note,
        seeds="the clips are identical" if identical else _seeds(base_seeds, new_seeds, shared),
        unpaired=unpaired,
    )


def _same_weights(base: RunData, new: RunData) -> bool:
    return bool(base.head.generator.weights) and base.head.generator.weights == new.head.generator.weights


def _seeds(base: list[str], new: list[str], shared: Shared | None) -> str:
    """Which seeds were compared with which, and how much of their noise is common."""
    if shared is None:
        return f"{OTHER_SEEDS}: means of {len(base)} and {len(new)} a case"
    correlation = "" if math.isnan(shared.correlation) else f", correlation {shared.correlation:.2f}"
    if base == new:
        return f"the same {len(new)} seed{'s' * (len(new) > 1)}, paired{correlation}"
    common = len(set(base) & set(new))
    which = f"{common} of {len(new)} seeds are among the baseline's {len(base)}"
    return f"{which}: control variate, weight {shared.beta:.2f}{correlation}"


def sets(
    out: Difference, base: RunData, new: RunData, spec: SetStatistic | None, permutations: int, alpha: float
) -> Difference:
    """`out` with the change of a set metric: a distance per seed, each to the same reference set."""
    none: Features = ([], np.zeros((0, 0)))
    first, second = base.features.get(out.metric, none), new.features.get(out.metric, none)
    reference = new.references.get(out.metric) or base.references.get(out.metric)
    if reference is None:
        return replace(out, status=Verdict.ERROR, reason="neither run has the vectors of the reference set")
    if spec is None:
        return replace(out, status=Verdict.ERROR, reason="its row does not say which statistic of two sets it is")
    a_ids, b_ids, unpaired = account(base, new, out.metric, out.slice, [set(first[0]), set(second[0])])
    base_seeds, new_seeds = (sorted({seed_of(i) for ids in side.values() for i in ids}) for side in (a_ids, b_ids))
    places = [p for p in a_ids if len(a_ids[p]) == len(base_seeds) and len(b_ids[p]) == len(new_seeds)]
    real = _reference_rows(reference, base, new, out.slice)
    vectors = [
        rows_of(features, [f"{p}/{s}" for s in seeds for p in places])
        for features, seeds in ((first, base_seeds), (second, new_seeds))
    ]
    statistic, (a, b, r) = set_statistic(spec, *vectors, real) if places else (None, (np.arange(0),) * 3)
    if statistic is None or min(len(places), len(real)) < statistic.least:
        reason = f"{len(places)} common and {len(real)} reference clips are too few for a distance"
        return replace(out, status=Verdict.INCONCLUSIVE, reason=reason, n=len(places), note=unpaired.words(), unpaired=unpaired)
    prompts = [new.clusters[b_ids[p][0]] for p in places]
    a, b = a.reshape(len(base_seeds), len(places)), b.reshape(len(new_seeds), len(places))
    result, seeds = set_difference(a, b, r, prompts, statistic, permutations, 1 - alpha), _seeds(base_seeds, new_seeds, None)
    if common := [s for s in new_seeds if s in base_seeds]:
        seeds = _seeds(common, common, Shared(1.0, math.nan))
        if base_seeds != new_seeds:
            rows = [[own.index(s) for s in common] for own in (base_seeds, new_seeds)]
            paired = set_difference(a[rows[0]], b[rows[1]], r, prompts, statistic, permutations, 1 - alpha)
            if (paired.error or math.inf) <= (result.error or math.inf):  # what is shared outweighs what more seeds tell
                result = paired
            else:
                seeds = _seeds(base_seeds, new_seeds, None)
    note = "; ".join(filter(None, [out.unlike_reference, unpaired.words()]))
    units = len(set(prompts))
    return replace(
        out,
        base=result.base,
        new=result.new,
        change=result.difference,
        interval=_within(result.interval, spec.span),
        bounds=_within(result.bounds, spec.span),
        p=result.p,
        error=result.error,
        new_error=result.errors[1],
        least_p=least_swap_p(units, permutations),
        n=b.size,
        units=units,
        note=note,
        seeds=seeds,
        unpaired=unpaired,
    )


def _within(interval: Interval, span: float | None) -> Interval:
    """An interval of a change, cut to what a change of a metric with values in a range of this width can be."""
    if span is None or interval.low is None or interval.high is None:
        return interval
    return replace(interval, low=max(interval.low, -span), high=min(interval.high, span))


def _reference_rows(reference: Features, base: RunData, new: RunData, label: str) -> npt.NDArray[Any]:
    """The reference vectors of a slice: those that answer its cases."""
    if label == "all":
        return reference[1]
    places = {place_of(i) for i in base.cases(label) | new.cases(label)}
    return np.asarray(reference[1])[[place_of(i) in places for i in reference[0]]]
