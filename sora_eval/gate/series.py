"""A gate in a series of runs against one baseline. Pure.

A gate that errs once in a hundred runs cries wolf every two weeks where ten runs a day are gated. A series has one budget
instead: the chance that any of its runs, however many, is falsely REGRESSED is at most `alpha`. Half of it is for the single
gates and half for slow declines; after n runs a share n / (n + horizon) of either is spent, and never more than all.

Single gates: run i is judged at the level that it adds to what is spent. By Boole's inequality the chance that any run errs is
at most the sum of the levels, at any time, for every test and however the runs depend on each other (alpha spending: Lan and
DeMets 1983). It is REGRESSED if one of its rows is so at that level, by Bonferroni's correction over the rows; PASS, a
statement about this run alone, keeps its level.

Slow declines: `stats.scan` of the changes per prompt against the baseline, over all rows of scores of clips. An alarm needs
the scan's boundary, a mean change of its runs of half of what the gate allows, and as much in the newest run, so that a
decline that was repaired ends. Rows of sets and speed have no changes per prompt: single gates alone judge them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sora_eval.compare.prompt_changes import prompt_changes
from sora_eval.compare.run_data import RunData
from sora_eval.gate.judge import allowed_change, gate
from sora_eval.records.verdict import GateResult, GateRow, Verdict
from sora_eval.stats.intervals import Array
from sora_eval.stats.power import ALPHA
from sora_eval.stats.scan import FLIPS, Look, scan
from sora_eval.suite import Gate

HORIZON = 100  # runs after which half of the budget is spent
FAR = 20  # a p of this many times the level is not tested again: more permutations do not bring it there
SHARE_OF_LIMIT = 0.5  # of the change that a gate allows: a smaller decline raises no alarm


def spent(runs: int, horizon: int = HORIZON, alpha: float = ALPHA) -> float:
    """The chance of a false REGRESSED that single gates, or slow declines, may have spent after `runs` runs.

    >>> spent(0), spent(100), round(spent(10**9), 6)  # half of alpha in all
    (0.0, 0.0125, 0.025)
    """
    return alpha / 2 * runs / (runs + horizon)


def level_of(run: int, horizon: int = HORIZON, alpha: float = ALPHA) -> float:
    """The level of the gate of run number `run` of a series, from 1.

    >>> round(level_of(1), 6), round(level_of(100), 6)
    (0.000248, 6.3e-05)
    """
    return spent(run, horizon, alpha) - spent(run - 1, horizon, alpha)


def in_series(
    result: GateResult,
    new: RunData,
    base: RunData,
    gates: Mapping[str, Gate],
    earlier: Sequence[RunData],
    *,
    horizon: int = HORIZON,
    flips: int = FLIPS,
) -> GateResult:
    """The result of a gate, judged as the next of a series: `earlier` are the runs that were gated against the same baseline,
    oldest first.

    A REGRESSED that the level of this run does not confirm becomes INCONCLUSIVE, and every metric that declines over the
    series has a REGRESSED row of its own.
    """
    judged = within_budget(result, new, base, gates, len(earlier) + 1, horizon)
    if result.incomplete:
        return judged
    history = [*(r for r in earlier if not r.incomplete()), new]
    alarms = declines(base, history, gates, horizon=horizon, alpha=result.alpha, flips=flips)[-1]
    return replace(judged, rows=(*judged.rows, *alarms))


def within_budget(
    result: GateResult, new: RunData, base: RunData, gates: Mapping[str, Gate], run: int, horizon: int = HORIZON
) -> GateResult:
    """The result of a single gate as that of run number `run` of a series, from 1.

    It stays REGRESSED where the level of the run confirms one of its REGRESSED rows, which are tested again with as many
    permutations as that takes (of sets that is minutes, so they come last); else these rows are INCONCLUSIVE.
    """
    level = level_of(run, horizon, result.alpha)
    strictest = level / max(len(result.rows), 1)
    result = replace(result, series=f"run {run} of its series, at the level {level:.2g}")
    regressed = [r for r in result.rows if r.verdict is Verdict.REGRESSED and r.metric in gates]
    changed: dict[str, GateRow] = {}
    for row in sorted(regressed, key=lambda r: r.metric in base.features):
        p = row.p
        if p is None or p <= FAR * strictest:
            again = gate(new, base, {row.metric: gates[row.metric]}, profile=result.profile, alpha=strictest).rows
            p = next((r.p for r in again if (r.slice, r.window) == (row.slice, row.window)), None)
        tested = f"p = {math.nan if p is None else p:.2g}, and the series asks for {strictest:.2g}"
        if p is not None and p <= strictest:
            changed = {_key(row): replace(row, reason=f"{row.reason}; in the series, {tested}")}
            break
        reason = f"{row.reason}: enough for one gate, not for one of a series ({tested})"
        changed[_key(row)] = replace(row, verdict=Verdict.INCONCLUSIVE, reason=reason)
    return replace(result, rows=tuple(changed.get(_key(row), row) for row in result.rows))


def _key(row: GateRow) -> str:
    return f"{row.name} {row.window}"


@dataclass(frozen=True)
class _Direction:
    """A direction in which a gate forbids a change of a metric: `sign` is 1 for an increase."""

    metric: str
    spec: Gate
    sign: int
    base: float

    @property
    def allowed(self) -> float:
        limit = self.spec.max_increase if self.sign > 0 else self.spec.max_decrease
        return allowed_change(limit, self.spec.min_change, self.base)


def declines(
    base: RunData,
    history: Sequence[RunData],
    gates: Mapping[str, Gate],
    *,
    horizon: int = HORIZON,
    alpha: float = ALPHA,
    flips: int = FLIPS,
) -> list[list[GateRow]]:
    """After each run of `history`, oldest first: a REGRESSED row for every metric that has declined up to that run.

    `change` is the mean of the runs since the decline began, to within a factor of two of their number, which is in `series`.
    """
    directions = list(_directions(base, gates))
    changes = _changes(base, history, directions)
    if not changes.size:
        return [[] for _ in history]
    looks = scan(changes, [spent(run, horizon, alpha) for run in range(1, len(history) + 1)], flips)
    return [
        [row for i, d in enumerate(directions) if (row := _alarm(d, look, i, history[: t + 1], _mean(changes[i, t])))]
        for t, look in enumerate(looks)
    ]


def _directions(base: RunData, gates: Mapping[str, Gate]) -> Iterator[_Direction]:
    for metric, spec in gates.items():
        row = base.metrics.get((metric, "all"))
        if row is None or row.value is None or metric not in base.scores:
            continue
        cases = base.cases(spec.slice)
        values = [r.value for i, r in base.scores[metric].items() if i in cases and r.value is not None]
        for sign, limit in ((1, spec.max_increase), (-1, spec.max_decrease)):
            if limit is not None and values:
                yield _Direction(metric, spec, sign, float(np.mean(values)))


def _changes(base: RunData, history: Sequence[RunData], directions: Sequence[_Direction]) -> Array:
    """Changes for the worse, (directions, runs, clusters of prompts); NaN where a run has none."""
    clusters = {name: i for i, name in enumerate(dict.fromkeys(base.clusters.values()))}
    out = np.full((len(directions), len(history), len(clusters)), np.nan)
    known: dict[tuple[str, int], dict[str, float]] = {}
    for i, d in enumerate(directions):
        for t, run in enumerate(history):
            key = (d.metric, t)
            if key not in known:
                known[key] = prompt_changes(base, run, d.metric, d.spec.slice)
            for cluster, change in known[key].items():
                out[i, t, clusters[cluster]] = d.sign * change
    return out


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _alarm(d: _Direction, look: Look, i: int, history: Sequence[RunData], last: float) -> GateRow | None:
    """The row of a decline, or None; `last` is the change of the newest run. Of several windows the clearest."""
    least = SHARE_OF_LIMIT * d.allowed
    past = (look.means[i] >= least) & (look.statistics[i] > look.boundary)
    if not past.any() or not last >= least:
        return None
    best = int(np.where(past, look.statistics[i], -np.inf).argmax())
    window, change = look.windows[best], d.sign * float(look.means[i][best])
    row = history[-1].metrics.get((d.metric, "all"))
    unit, percent = row.unit if row is not None else "", 100 * change / abs(d.base) if d.base else None
    size = f"{change:+.3g}{f' {unit}' if unit else ''}{'' if percent is None else f' ({percent:+.2g} %)'}"
    sign, limit = ("+", d.spec.max_increase) if d.sign > 0 else ("-", d.spec.max_decrease)
    return GateRow(
        metric=d.metric,
        slice=d.spec.slice,
        verdict=Verdict.REGRESSED,
        reason=(
            f"declines since run {history[-window].run_id}: {size} in the mean of {window} runs against the baseline, in this "
            f"run {d.sign * last:+.3g}; more than chance explains (scan over the series: {look.statistics[i][best]:.2f}, past "
            f"its boundary of {look.boundary:.2f})"
        ),
        limit=f"{SHARE_OF_LIMIT:g} x {sign}{limit:g} %",
        min_change=SHARE_OF_LIMIT * d.spec.min_change,
        base=d.base,
        new=d.base + change,
        change=change,
        change_percent=percent,
        n=window,
        unit=unit,
        higher_is_better=row.higher_is_better if row is not None else None,
        method="signs of whole histories of prompts flipped",
        series=window,
    )
