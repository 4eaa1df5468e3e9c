"""Tables (prompts, seeds) of a metric from runs of one checkpoint, for variance components. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sora_eval.compare.cases import place_of
from sora_eval.compare.run_data import RunData, rows_of
from sora_eval.stats.distances import set_statistic
from sora_eval.stats.intervals import Array


def prompt_table(pool: Sequence[RunData], metric: str, label: str) -> Array:
    """Scores (prompts, seeds) of a metric on a slice; every run of `pool` holds one seed (`studies.error_rates.by_seed`).

    A score is the mean over a prompt's shapes and lengths, NaN where none has one. Of a set metric it is a pseudo-value of the
    jackknife, n D - (n - 1) D without the prompt, whose mean over the n prompts is the metric's value but for its bias. Raises
    ValueError where a set metric has too few clips, or no reference.
    """
    prompts = {cluster: row for row, cluster in enumerate(dict.fromkeys(pool[0].clusters.values()))}
    if metric in pool[0].features:
        return _pseudo_values(pool, metric, label, prompts)
    out = np.full((len(prompts), len(pool)), np.nan)
    for column, data in enumerate(pool):
        inside, by_prompt = data.cases(label), dict[str, list[float]]()
        for case, row in data.scores.get(metric, {}).items():
            if case in inside and row.value is not None:
                by_prompt.setdefault(data.clusters[case], []).append(row.value)
        for cluster, values in by_prompt.items():
            out[prompts[cluster], column] = np.mean(values)
    return out


def _pseudo_values(pool: Sequence[RunData], metric: str, label: str, prompts: dict[str, int]) -> Array:
    row = pool[0].metrics.get((metric, label)) or pool[0].metrics.get((metric, "all"))
    reference = next((data.references[metric] for data in pool if metric in data.references), None)
    if row is None or row.statistic is None or reference is None:
        raise ValueError("no statistic, or no vectors of its reference set")
    cases = [{place_of(i): i for i in data.features[metric][0] if i in data.cases(label)} for data in pool]
    places = sorted(set.intersection(*map(set, cases)))
    real, asked = np.asarray(reference[1]), set().union(*(data.cases(label) for data in pool))
    if label != "all":
        real = real[[i in asked for i in reference[0]]]
    if not places:
        raise ValueError("no place has vectors of every seed")
    sets = [rows_of(data.features[metric], [of_seed[p] for p in places]) for data, of_seed in zip(pool, cases, strict=True)]
    statistic, rows = set_statistic(row.statistic, *sets, real)
    codes = np.array([prompts[pool[0].clusters[cases[0][p]]] for p in places])
    known = np.unique(codes)
    out = np.full((len(prompts), len(pool)), np.nan)
    for column, of_seed in enumerate(rows[:-1]):
        whole = statistic(of_seed, rows[-1])
        for prompt in known:
            out[prompt, column] = len(known) * whole - (len(known) - 1) * statistic(of_seed[codes != prompt], rows[-1])
    return out
