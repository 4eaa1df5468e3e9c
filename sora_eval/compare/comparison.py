"""Two runs of one suite, metric by metric and slice by slice. Pure.

A difference is NEW minus BASE. Nothing is compared in silence: what cannot be is a row that says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from sora_eval.compare.difference import Difference, difference
from sora_eval.compare.run_data import Side, side_of
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import Verdict
from sora_eval.runs.folder import RunFolder
from sora_eval.stats.power import ALPHA

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
    "status",
]


@dataclass(frozen=True)
class Comparison:
    """A table with the columns `COLUMNS`, and what a reader must know before believing it.

    `status` is `ok`, or the verdict that stands where no change can be said, with the reason in `note`.
    """

    base: str
    new: str
    table: pd.DataFrame
    warnings: list[str]


def compare(base: RunFolder | Side, new: RunFolder | Side, slices: bool = False) -> Comparison:
    """Compare two runs. With `slices`, every metric also by shape, length and tag; speed is by shape always."""
    a, b = side_of(base), side_of(new)
    labels = list(dict.fromkeys([*a.slices(), *b.slices()])) if slices else ["all"]
    rows = []
    for metric in dict.fromkeys(m for side in (a, b) for m, _ in side.metrics):
        own = (
            dict.fromkeys(label for side in (a, b) for m, label in side.metrics if m == metric) if is_speed(metric) else labels
        )
        rows += [_row(difference(a, b, metric, label)) for label in own]
    return Comparison(a.label, b.label, pd.DataFrame(rows, columns=COLUMNS), _warnings(a, b))


def label_of(run: RunFolder) -> str:
    """How a table calls a run: generator and checkpoint."""
    generator = run.head["generator"]
    return ":".join(filter(None, [generator["name"], generator["checkpoint"]]))


def _warnings(base: Side, new: Side) -> list[str]:
    a, b = base.head, new.head
    out = []
    if a["suite"] != b["suite"]:
        out.append(f"different suites: {a['suite']} against {b['suite']}")
    if a.get("seed_offset", 0) != b.get("seed_offset", 0):
        out.append(f"different seeds: shifted by {a.get('seed_offset', 0)} against {b.get('seed_offset', 0)}")
    if a["hardware"] != b["hardware"]:
        out.append("different machines: speed is not comparable")
    if a["generator"]["fingerprint"] == b["generator"]["fingerprint"]:
        out.append("both runs have the same generator and weights: every difference is noise or settings")
    for name, side in (("base", base), ("new", new)):
        if why := side.incomplete():
            out.append(f"{name}: {why}")
        failed = [i for i, s in side.samples.items() if s["status"] == "error"]
        if failed:
            out.append(f"{name} has {len(failed)} failed cases of {len(side.samples)}, for example {min(failed)}")
    cases = [set(side.samples) for side in (base, new)]
    for name, only in (("base", cases[0] - cases[1]), ("new", cases[1] - cases[0])):
        if only:
            out.append(f"{len(only)} cases only in {name}, for example {min(only)}")
    return out


def _row(d: Difference) -> dict[str, Any]:
    return {
        "metric": d.metric,
        "slice": d.slice,
        "base": d.base,
        "new": d.new,
        "change": d.change,
        "change_percent": d.change_percent,
        "low": d.interval.low,
        "high": d.interval.high,
        "p": d.p,
        "n": d.n,
        "better": better(d),
        "unit": d.unit,
        "method": d.interval.method,
        "note": d.note if d.status is None else f"{_WORDS[d.status]}: {d.reason}",
        "status": "ok" if d.status is None else str(d.status),
    }


_WORDS = {
    Verdict.NOT_COMPARABLE: "not comparable",
    Verdict.MISSING: "only in base",
    Verdict.NO_BASELINE: "only in new",
    Verdict.ERROR: "no value",
    Verdict.INCONCLUSIVE: "no test",
}


def better(d: Difference) -> str | None:
    """`base` or `new` where the change is beyond noise: its interval leaves 0 out and the permutation test agrees."""
    low, high = d.interval.low, d.interval.high
    beyond = low is not None and high is not None and (low > 0 or high < 0)
    if not beyond or d.p is None or d.p > ALPHA or d.higher_is_better is None or d.change is None:
        return None
    return "new" if (d.change > 0) == d.higher_is_better else "base"
