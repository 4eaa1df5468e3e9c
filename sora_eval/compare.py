"""Two runs of one suite, case by case: differences with intervals. Pure: numpy, scipy, pandas.

A difference is NEW minus BASE. Nothing is compared in silence: unlike signatures, suites and reference sets are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sora_eval.distances import set_statistic
from sora_eval.errors import RunError
from sora_eval.runs import RunFolder
from sora_eval.statistics import Interval, mean_interval, paired_set_difference, sign_flip_p

COLUMNS = [
    "metric",
    "slice",
    "base",
    "new",
    "change",
    "change_percent",
    "low",
    "high",
    "p",
    "n",
    "better",
    "unit",
    "method",
    "note",
]
SET_METRICS = ("fvd", "kvd", "precision", "recall")
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """A table with the columns `COLUMNS`, and what a reader must know before believing it."""

    base: str
    new: str
    table: pd.DataFrame
    warnings: list[str]


def compare(base: RunFolder, new: RunFolder) -> Comparison:
    """Compare two finished runs. Raises RunError only when one of them has no metrics yet."""
    for run in (base, new):
        if not run.rows("metrics"):
            raise RunError(f"{run.path} has no metrics: finish it with 'sora-eval run --resume {run.path}'")
    rows = [_row(base, new, metric, label) for metric, label in _keys(base, new)]
    return Comparison(label_of(base), label_of(new), pd.DataFrame(rows, columns=COLUMNS), _warnings(base, new))


def label_of(run: RunFolder) -> str:
    """How a table calls a run: generator and checkpoint."""
    generator = run.head["generator"]
    return ":".join(filter(None, [generator["name"], generator["checkpoint"]]))


def _keys(base: RunFolder, new: RunFolder) -> list[tuple[str, str]]:
    return list(dict.fromkeys((r["metric"], r["slice"]) for run in (base, new) for r in run.rows("metrics")))


def _warnings(base: RunFolder, new: RunFolder) -> list[str]:
    a, b = base.head, new.head
    out = []
    if a["suite"] != b["suite"]:
        out.append(f"different suites: {a['suite']} against {b['suite']}")
    if a["hardware"] != b["hardware"]:
        out.append("different machines: speed is not comparable")
    if a["generator"]["fingerprint"] == b["generator"]["fingerprint"]:
        out.append("both runs have the same generator and weights: every difference is noise or settings")
    for name, head in (("base", a), ("new", b)):
        if head.get("partial"):
            out.append(f"{name} is partial (--limit {head['limit']})")
        if head.get("failed_cases"):
            out.append(f"{name} has {head['failed_cases']} failed cases of {head['cases']}")
    cases = [{r["id"] for r in run.rows("samples")} for run in (base, new)]
    for name, only in (("base", cases[0] - cases[1]), ("new", cases[1] - cases[0])):
        if only:
            out.append(f"{len(only)} cases only in {name}, for example {min(only)}")
    return out


def _find(run: RunFolder, metric: str, label: str) -> dict[str, Any]:
    return next((r for r in run.rows("metrics") if (r["metric"], r["slice"]) == (metric, label)), {})


def _row(base: RunFolder, new: RunFolder, metric: str, label: str) -> dict[str, Any]:
    a, b = _find(base, metric, label), _find(new, metric, label)
    known = a or b
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "metric": metric,
        "slice": label,
        "base": a.get("value"),
        "new": b.get("value"),
        "unit": known["unit"],
        "method": "",
        "note": "",
    }
    if not a or not b:
        return row | {"note": f"only in {'base' if a else 'new'}"}
    if a["value"] is None or b["value"] is None:
        return row | {"note": a["reason"] or b["reason"]}
    if a["signature"] != b["signature"]:
        return row | {"note": f"not comparable: {a['signature']} against {b['signature']}"}
    change, interval, p, n, note = _difference(base, new, metric, label, a, b)
    row |= {
        "change": change,
        "low": interval.low,
        "high": interval.high,
        "p": p,
        "n": n,
        "method": interval.method,
        "note": note,
        "change_percent": 100 * change / abs(row["base"]) if row["base"] else None,
    }
    # Beyond noise means both: the interval leaves 0 out and the permutation test agrees.
    beyond = interval.low is not None and interval.high is not None and (interval.low > 0 or interval.high < 0)
    if beyond and p is not None and p <= SIGNIFICANCE and known["higher_is_better"] is not None:
        row["better"] = "new" if (change > 0) == known["higher_is_better"] else "base"
    return row


def _difference(
    base: RunFolder,
    new: RunFolder,
    metric: str,
    label: str,
    a: dict[str, Any],
    b: dict[str, Any],
) -> tuple[float, Interval, float | None, int, str]:
    if metric in SET_METRICS:
        return _set_difference(base, new, metric, a, b)
    pairs = _paired_scores(base, new, metric, label)
    if pairs.empty:  # speed: repeats of two jobs are not pairs; both intervals are shown instead
        return b["value"] - a["value"], Interval(None, None, "two jobs, not interleaved"), None, b["n_scored"], ""
    difference = (pairs["new"] - pairs["base"]).to_numpy()
    prompts = pairs["prompt_id"].tolist()
    lost = max(a["n_scored"], b["n_scored"]) - len(pairs)
    note = f"{lost} cases have a score in one run only" if lost else ""
    return (float(difference.mean()), mean_interval(difference, prompts), sign_flip_p(difference, prompts), len(pairs), note)


def _paired_scores(base: RunFolder, new: RunFolder, metric: str, label: str) -> pd.DataFrame:
    """Scores of the cases that both runs scored: id, base, new, prompt_id."""
    columns = []
    for run in (base, new):
        samples = {r["id"]: r for r in run.rows("samples")}
        values = {
            r["id"]: r["value"]
            for r in run.rows("scores")
            if r["metric"] == metric
            and r["value"] is not None
            and r["id"] in samples
            and (label == "all" or label == "{width}x{height}x{frames}".format(**samples[r["id"]]))
        }
        columns.append(pd.Series(values, dtype=float))
    table = pd.concat(columns, axis=1, keys=["base", "new"], join="inner").rename_axis("id").reset_index()
    prompts = {r["id"]: r["prompt_id"] for r in base.rows("samples")}
    return table.assign(prompt_id=table["id"].map(prompts)).sort_values("id")


def _set_difference(
    base: RunFolder,
    new: RunFolder,
    metric: str,
    a: dict[str, Any],
    b: dict[str, Any],
) -> tuple[float, Interval, float | None, int, str]:
    first, second = base.load_features(metric), new.load_features(metric)
    reference = base.load_features(f"reference-{metric}")
    ids = sorted(set(first["ids"].tolist()) & set(second["ids"].tolist()))
    vectors = [_rows_of(f, ids) for f in (first, second)]
    statistic, (rows_a, rows_b, rows_r) = set_statistic(a["signature"], *vectors, reference["values"])
    if len(ids) < statistic.least:
        few = Interval(None, None, f"none: fewer than {statistic.least} common cases")
        return b["value"] - a["value"], few, None, len(ids), ""
    prompts = {r["id"]: r["prompt_id"] for r in base.rows("samples")}
    result = paired_set_difference(rows_a, rows_b, rows_r, [prompts[i] for i in ids], statistic, least=statistic.least)
    lost = max(len(first["ids"]), len(second["ids"])) - len(ids)
    note = f"{lost} cases have features in one run only" if lost else ""
    return result.difference, result.interval, result.p, len(ids), note


def _rows_of(features: dict[str, npt.NDArray[Any]], ids: list[str]) -> npt.NDArray[Any]:
    place = {name: i for i, name in enumerate(features["ids"].tolist())}
    return np.asarray(features["values"])[[place[i] for i in ids]]
