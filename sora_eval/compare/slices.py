"""Means and paired differences by shape, length and tag: where in a suite a change sits. Pure: numpy and pandas.

Slices are for looking. They are many and not corrected for it, so no gate reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from sora_eval.stats.intervals import CONFIDENCE, RESAMPLES

COLUMNS = ["metric", "kind", "slice", "base", "new", "change", "low", "high", "n", "prompts", "method"]


def slice_table(scores: pd.DataFrame, kinds: Sequence[str] = ("shape", "length", "tag"), seed: int = 0) -> pd.DataFrame:
    """One row a (metric, kind of slice, slice).

    `scores` has a row a (case, metric): metric, prompt_id, shape, frames, tags (list), `new` and, for differences, `base`;
    rows without a value in either are not counted. Without `base` the interval is of the mean of `new`.
    """
    paired = "base" in scores
    values = scores.dropna(subset=["base", "new"] if paired else ["new"])
    if values.empty:
        return pd.DataFrame(columns=COLUMNS)
    measured = (values["new"] - values["base"] if paired else values["new"]).to_numpy(np.float64)
    prompt_codes, prompts = pd.factorize(values["prompt_id"])
    rows, sums, counts = [], [], []
    for kind, label, chosen in _slices(values, kinds):
        for metric, places in values[["metric"]].reset_index(drop=True)[chosen].groupby("metric", sort=False).groups.items():
            at = np.asarray(places)
            sums.append(np.bincount(prompt_codes[at], measured[at], len(prompts)))
            counts.append(np.bincount(prompt_codes[at], minlength=len(prompts)).astype(np.float64))
            own = values.iloc[at]
            rows.append(
                {
                    "metric": metric,
                    "kind": kind,
                    "slice": label,
                    "base": own["base"].mean() if paired else np.nan,
                    "new": own["new"].mean(),
                    "change": measured[at].mean() if paired else np.nan,
                    "n": len(at),
                    "prompts": int((counts[-1] > 0).sum()),
                }
            )
    low, high = cluster_percentiles(np.array(sums), np.array(counts), seed)
    table = pd.DataFrame(rows).assign(low=low, high=high)
    enough = table["prompts"] >= 2
    table[["low", "high"]] = table[["low", "high"]].where(enough)
    table["method"] = np.where(enough, "cluster bootstrap percentile", "none: fewer than 2 prompts")
    return table[COLUMNS]


def cluster_percentiles(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """95 % percentile intervals of many means at once, the same draws of whole clusters for all.

    `sums` and `counts` are (rows, clusters): sum and number of a row's values in a cluster. A draw without any value of a
    row is left out of its interval.
    """
    clusters = sums.shape[1]
    draws = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES).astype(np.float64)
    with np.errstate(invalid="ignore"):
        means = (draws @ sums.T) / (draws @ counts.T)  # (RESAMPLES, rows)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail], axis=0)
    return low, high


def _slices(values: pd.DataFrame, kinds: Sequence[str]) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    out: list[tuple[str, str, npt.NDArray[np.bool_]]] = []
    for kind, column in (("shape", "shape"), ("length", "frames")):
        if kind in kinds:
            out += [
                (kind, str(v), (values[column] == v).to_numpy(bool, na_value=False)) for v in values[column].dropna().unique()
            ]
    if "tag" in kinds:
        tags = values["tags"].map(lambda t: frozenset(t or ()))
        out += [("tag", tag, tags.map(lambda t, tag=tag: tag in t).to_numpy(bool)) for tag in sorted(frozenset().union(*tags))]
    return out
