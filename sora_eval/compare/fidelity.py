"""The difference of two runs by a paired metric. Pure.

A change of a paired metric is its mean less its value for a clip and itself, so that gates bound it like any other change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sora_eval.compare.cases import Unpaired, seed_of
from sora_eval.compare.pair_scores import FAMILY, Fidelity, PairScores
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import ScoreRow
from sora_eval.stats.cluster_means import clustered_error, least_swap_p, mean_interval, sign_flip_p
from sora_eval.stats.intervals import Interval

NOT_MEASURED = "the clips of the two runs were not compared: `sora_eval.fidelity.measured` does it, as 'compare' and 'gate' do"


def paired_difference(out: Difference, base: RunData, new: RunData, unlike: str, permutations: int, alpha: float) -> Difference:
    """`out` with the mean of a paired metric over the cases of its slice, against its value for identical clips.

    `unlike` says why no numbers of the two runs can be compared, or is ''.
    """
    if unlike:
        return replace(out, status=Verdict.NOT_COMPARABLE, reason=unlike, family=FAMILY)
    fidelity = new.fidelity
    scores = fidelity.outputs.get(out.metric) if fidelity is not None else None
    if fidelity is None or scores is None or fidelity.against != base.runs:
        return replace(out, status=Verdict.ERROR, reason=NOT_MEASURED, family=FAMILY)
    out = replace(out, unit=scores.unit, higher_is_better=scores.higher_is_better, family=scores.family)
    cases = new.cases(out.slice) & base.cases(out.slice)
    rows = {i: row for i, row in scores.scores.items() if i in cases}
    ids = [i for i, row in rows.items() if row.value is not None]
    unpaired = _unpaired(base, new, out.slice, rows)
    notes = [_without(rows), unpaired.words()]
    if not ids:
        reason = "; ".join(filter(None, notes)) or "no case of the same seed is in both runs"
        return replace(out, status=Verdict.ERROR, reason=reason, unpaired=unpaired)
    values, prompts = np.array([rows[i].value for i in ids], np.float64), [new.clusters[i] for i in ids]
    changes, mean, units = values - scores.identical, float(values.mean()), len(set(prompts))
    interval, bounds = (_shifted(mean_interval(values, prompts, c, scores.span), scores) for c in (1 - alpha, 1 - 2 * alpha))
    if not changes.any():
        interval = bounds = Interval(0.0, 0.0, "every pair is identical")
    error = clustered_error(values, prompts)
    return replace(
        out,
        base=scores.identical,
        new=mean,
        change=mean - scores.identical,
        interval=interval,
        bounds=bounds,
        p=sign_flip_p(changes, prompts, permutations=permutations),
        error=error,
        new_error=error,
        least_p=least_swap_p(units, permutations),
        n=len(ids),
        units=units,
        note="; ".join(filter(None, [_counts(fidelity, out.metric, ids), *notes])),
        seeds=f"pairs of the same seed, {len({seed_of(i) for i in ids})} per case",
        unpaired=unpaired,
    )


def drift_of(new: RunData, base: RunData | None) -> str:
    """How many cases drifted, in words; '' where the clips of these two were not compared."""
    return new.fidelity.words() if base is not None and new.fidelity is not None and new.fidelity.against == base.runs else ""


def _shifted(interval: Interval, scores: PairScores) -> Interval:
    low, high = (None if end is None else end - scores.identical for end in (interval.low, interval.high))
    return Interval(low, high, interval.method)


def _counts(fidelity: Fidelity, metric: str, ids: list[str]) -> str:
    """How many of these cases are past what repeats show of this output, and how far that is; '' without a bound."""
    output = fidelity.outputs[metric]
    bound = fidelity.bounds.of(metric, output.signature) if fidelity.bounds is not None else None
    if bound is None:
        return ""
    past = [i for i in ids if output.past(output.values[i], bound) and i not in fidelity.same]
    unit = f" {output.unit}" if output.unit != "1" else ""
    return f"{len(past)} of {len(ids)} cases are past the {bound:.4g}{unit} of repeats"


def _without(rows: Mapping[str, ScoreRow]) -> str:
    """The reasons of the pairs without a score, the most frequent first."""
    reasons = Counter(row.reason for row in rows.values() if row.value is None)
    return "; ".join(f"{n} of {len(rows)} pairs have no value: {reason}" for reason, n in reasons.most_common(3))


def _unpaired(base: RunData, new: RunData, label: str, rows: Mapping[str, ScoreRow]) -> Unpaired:
    """Cases of seeds that both runs have which one of them lacks, and pairs that failed."""
    cases = [data.cases(label) for data in (base, new)]
    seeds = {seed_of(i) for i in cases[0]} & {seed_of(i) for i in cases[1]}
    only = [tuple(sorted(i for i in a - b if seed_of(i) in seeds)) for a, b in (cases, cases[::-1])]
    failed = [i for i, row in rows.items() if row.value is None and row.status == "error"]
    return Unpaired(only[0], only[1], tuple(sorted(failed)))
