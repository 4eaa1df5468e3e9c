"""Error rates of a gate in a series of runs: false alarms when nothing changes, and the delay when a decline is slow. Pure.

A virtual series is drawn from a pool of real runs: a baseline of some seeds per prompt, then run after run of clips of the same
checkpoint, of which a given share is replaced by clips of a worse generator.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from sora_eval.compare.run_data import RunData
from sora_eval.gate.judge import gate
from sora_eval.gate.series import declines, within_budget
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.stats.intervals import CONFIDENCE
from sora_eval.studies.error_rates import compose
from sora_eval.suite import Gate
from sora_eval.util.errors import SuiteError

METHODS = ("single gates", "budget", "decline")


@dataclass(frozen=True)
class SeriesRates:
    """First alarms of one arm: `first` holds, by method, the number of the first REGRESSED run of every draw, from 1; None
    where the series ended without.

    `single gates` judges every run by itself; `budget` by the levels of its series; `decline` by the scan over the series.
    `shares` is the share of clips of the worse generator in every run.
    """

    arm: str
    shares: tuple[float, ...]
    first: Mapping[str, tuple[int | None, ...]]

    @property
    def draws(self) -> int:
        """Number of series."""
        return len(self.first[METHODS[0]])

    @property
    def onset(self) -> int:
        """Number of runs before the first with worse clips."""
        return next((i for i, share in enumerate(self.shares) if share > 0), len(self.shares))

    def rate(self, method: str) -> tuple[float, float, float]:
        """Share of the series with an alarm, and both ends of its 95 % interval (exact: Clopper and Pearson 1934).

        >>> rates = SeriesRates("again", (0.0,) * 9, {"single gates": (None, 3), "decline": (None, None)})
        >>> rates.rate("single gates")[0], rates.rate("decline")[0]
        (0.5, 0.0)
        """
        alarms = sum(run is not None for run in self.first[method])
        low, high = stats.binomtest(alarms, self.draws).proportion_ci(CONFIDENCE)
        return alarms / self.draws, float(low), float(high)

    def delay(self, method: str, share: float = 0.5) -> int | None:
        """Number of runs from the onset until a `share` of the series has its alarm, 1 for the first worse run; None where
        fewer have one."""
        known = sorted(run for run in self.first[method] if run is not None)
        needed = int(np.ceil(share * self.draws))
        return known[needed - 1] - self.onset if 0 < needed <= len(known) else None

    def joined(self, other: SeriesRates) -> SeriesRates:
        """The draws of both, of one arm."""
        return replace(self, first={m: (*self.first[m], *other.first[m]) for m in self.first})


def draw_series(
    base: Sequence[RunData],
    worse: Sequence[RunData],
    shares: Sequence[float],
    rng: np.random.Generator,
    seeds: tuple[int, int] = (4, 2),
    *,
    same_seeds: bool = False,
) -> tuple[RunData, list[RunData]]:
    """A virtual baseline of `seeds[0]` seeds per prompt, and a run of `seeds[1]` for every share of worse clips.

    Baseline and runs share no clip. Runs draw anew from the seeds that the baseline left; with `same_seeds` all of them have
    the same ones, as runs of one suite in CI have. Raises SuiteError for a pool of too few seeds.
    """
    _check_pool(base, worse, shares, seeds)
    held, asked = seeds
    prompts = list(dict.fromkeys(base[0].clusters.values()))
    orders = {prompt: rng.permutation(len(base)).tolist() for prompt in prompts}
    chosen = {prompt: order[:held] for prompt, order in orders.items()}
    baseline = compose(base, chosen, range(held))
    runs = []
    for t, share in enumerate(shares):
        picks = {}
        for prompt, order in orders.items():
            rest = order[held:] if same_seeds else rng.permutation(order[held:]).tolist()
            bad = len(base) + rng.permutation(len(worse))
            is_bad = rng.random(asked) < share
            picks[prompt] = [int(bad[j]) if is_bad[j] else rest[j] for j in range(asked)]
        start = held if same_seeds else held + t * asked
        runs.append(compose([*base, *worse], picks, range(start, start + asked)))
    return baseline, runs


def _check_pool(base: Sequence[RunData], worse: Sequence[RunData], shares: Sequence[float], seeds: tuple[int, int]) -> None:
    held, asked = seeds
    if len(base) < held + asked or (any(shares) and len(worse) < asked):
        raise SuiteError(
            f"the pool has {len(base)} seeds of the baseline's checkpoint and {len(worse)} of the worse generator: "
            f"{held + asked} and {asked} are needed for {held} against {asked} a prompt"
        )


def series_rates(
    arm: str,
    base: Sequence[RunData],
    worse: Sequence[RunData],
    gates: Mapping[str, Gate],
    shares: Sequence[float],
    draws: int,
    *,
    seeds: tuple[int, int] = (4, 2),
    same_seeds: bool = False,
    seed: int = 0,
    workers: int = 1,
) -> Iterator[SeriesRates]:
    """Gate `draws` virtual series, run after run; yields the rates of each, which `SeriesRates.joined` adds up.

    Rows of scores of clips alone are gated, since sets and speed have no slow declines. Draw i depends on (seed, i) alone.
    Raises SuiteError as `draw_series` does, and for gates without such a row.
    """
    gated = {metric: spec for metric, spec in gates.items() if metric in base[0].scores}
    if not gated:
        raise SuiteError(f"no gate is of scores of clips; scores: {', '.join(base[0].scores) or 'none'}")
    good, bad = (
        [replace(run, scores={m: run.scores[m] for m in gated}, features={}, references={}) for run in pool]
        for pool in (base, worse)
    )
    _check_pool(good, bad, shares, seeds)  # before any process starts
    state = (arm, good, bad, gated, tuple(shares), seeds, same_seeds)
    jobs = [(seed, i) for i in range(draws)]
    if workers == 1:
        _share(*state)
        yield from map(_series, jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can hang it
    with ProcessPoolExecutor(workers, context, _share, state) as executor:
        yield from executor.map(_series, jobs)


_shared: Any  # state of a worker process, sent once instead of with every job


def _share(*state: Any) -> None:
    global _shared  # noqa: PLW0603
    _shared = state


def _series(job: tuple[int, int]) -> SeriesRates:
    arm, base, worse, gates, shares, seeds, same_seeds = _shared
    baseline, runs = draw_series(base, worse, shares, np.random.default_rng(job), seeds, same_seeds=same_seeds)
    alone = [gate(run, baseline, gates) for run in runs]
    alarms = declines(baseline, runs, gates)
    regressed = [t for t, result in enumerate(alone) if result.verdict is Verdict.REGRESSED]
    confirmed = (t for t in regressed if _confirmed(alone[t], runs[t], baseline, gates, t + 1))
    first = {
        "single gates": next(iter(regressed), None),
        "budget": next(confirmed, None),
        "decline": next((t for t, rows in enumerate(alarms) if rows), None),
    }
    return SeriesRates(arm, shares, {m: (None if t is None else t + 1,) for m, t in first.items()})


def _confirmed(result: GateResult, run: RunData, baseline: RunData, gates: Mapping[str, Gate], number: int) -> bool:
    return within_budget(result, run, baseline, gates, number).verdict is Verdict.REGRESSED
