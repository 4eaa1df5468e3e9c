"""Error rates and power of a gate: thousands of gates on virtual runs sampled from a pool of real ones. Pure.

A virtual run answers each prompt with the clips of one run of the pool, so a few repeats under other seeds give as many
different pairs of runs as a study needs, each of clips that a checkpoint generated.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from sora_eval.compare.run_data import RunData
from sora_eval.gate.judge import gate
from sora_eval.records.verdict import Verdict
from sora_eval.stats.intervals import CONFIDENCE
from sora_eval.stats.power import ALPHA
from sora_eval.suite import Gate
from sora_eval.util.errors import SuiteError

WHOLE = "gate"  # name of the row of the whole gate
SIGNIFICANT = "p <= 0.05"  # outcome of a row's own test, without its limit and Holm's correction
CHUNK = 10  # draws per work item


@dataclass(frozen=True)
class Rates:
    """Outcomes of one arm over its draws: `counts` holds the number of each, by gated row and for the whole gate."""

    arm: str
    draws: int = 0
    counts: Mapping[str, Counter[str]] = field(default_factory=dict)

    def rate(self, row: str, outcome: str = Verdict.REGRESSED) -> tuple[float, float, float]:
        """Share of the draws with an outcome, and both ends of its 95 % interval (exact: Clopper & Pearson 1934).

        >>> rates = Rates("again", 100, {WHOLE: Counter({Verdict.REGRESSED: 5})})
        >>> [round(value, 3) for value in rates.rate(WHOLE)]
        [0.05, 0.016, 0.113]
        """
        hits = self.counts[row][outcome]
        low, high = stats.binomtest(hits, self.draws).proportion_ci(CONFIDENCE)
        return hits / self.draws, float(low), float(high)

    def joined(self, other: Rates) -> Rates:
        """The draws of both, of one arm."""
        rows = dict.fromkeys([*self.counts, *other.counts])
        counts = {r: self.counts.get(r, Counter()) + other.counts.get(r, Counter()) for r in rows}
        return replace(self, draws=self.draws + other.draws, counts=counts)


@dataclass(frozen=True)
class GateErrors:
    """The rates of a suite's gate: first of the baseline's checkpoint against itself, then of every other generator.

    `cases` is the size of a run; the pool has `repeats` runs of the baseline's checkpoint and `others` of each other generator.
    """

    suite: str
    cases: int
    label: str
    repeats: int
    others: int
    rates: tuple[Rates, ...]


def compose(pool: Sequence[RunData], run_of: Mapping[str, int]) -> RunData:
    """A run that answers each prompt with the clips of run `run_of[cluster]` (an index) of a pool of equal cases."""
    first = pool[0]
    source = {case: run_of[cluster] for case, cluster in first.clusters.items()}
    features = {}
    for name, (ids, values) in first.features.items():
        places = [{case: i for i, case in enumerate(side.features[name][0])} for side in pool]
        cases = [case for case in ids if case in places[source[case]]]
        rows = [pool[source[case]].features[name][1][places[source[case]][case]] for case in cases]
        features[name] = (cases, np.array(rows, values.dtype).reshape(len(cases), -1))
    return replace(
        first,
        path="sample of a pool",
        samples={case: pool[k].samples[case] for case, k in source.items()},
        scores={m: {case: pool[source[case]].scores[m][case] for case in rows} for m, rows in first.scores.items()},
        features=features,
    )


def draw(base: Sequence[RunData], new: Sequence[RunData] | None, rng: np.random.Generator) -> tuple[RunData, RunData]:
    """Two virtual runs: of `base` and of `new`, or without `new` two of `base` that share no clip (at least two runs)."""
    prompts = list(dict.fromkeys(base[0].clusters.values()))
    first = rng.integers(len(base), size=len(prompts))
    if new is None:
        second = (first + rng.integers(1, len(base), size=len(prompts))) % len(base)
    else:
        second = rng.integers(len(new), size=len(prompts))
    a, b = (dict(zip(prompts, indices.tolist(), strict=True)) for indices in (first, second))
    return compose(base, a), compose(new or base, b)


def draw_rates(
    arm: str,
    base: Sequence[RunData],
    new: Sequence[RunData] | None,
    gates: Mapping[str, Gate],
    draws: int,
    *,
    seed: int = 0,
    workers: int = 1,
) -> Iterator[Rates]:
    """Gate `draws` pairs of virtual runs; yields the rates of chunks of CHUNK draws, which `Rates.joined` adds up.

    Without `new` the pairs are A/A: the same checkpoint, other seeds, no clip in both. Draw i depends on (seed, i) alone.
    Raises SuiteError for runs of different cases, and for A/A pairs of a single run.
    """
    if new is None and len(base) < 2:
        raise SuiteError(f"{len(base)} repeat of the baseline cannot be drawn against itself: at least 2 are needed")
    if len({frozenset(s.samples) for s in [*base, *(new or [])]}) > 1:
        raise SuiteError("the runs of the pool do not hold the same cases: make them with one suite")
    jobs = [(seed, i, min(CHUNK, draws - i)) for i in range(0, draws, CHUNK)]
    if workers == 1:
        _share(arm, base, new, gates)
        yield from map(_rates, jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can hang it
    with ProcessPoolExecutor(workers, context, _share, (arm, base, new, gates)) as executor:
        yield from executor.map(_rates, jobs)


_shared: tuple[
    str, Sequence[RunData], Sequence[RunData] | None, Mapping[str, Gate]
]  # state of a worker process, sent once instead of with every job


def _share(arm: str, base: Sequence[RunData], new: Sequence[RunData] | None, gates: Mapping[str, Gate]) -> None:
    global _shared  # noqa: PLW0603
    _shared = (arm, base, new, gates)


def _rates(job: tuple[int, int, int]) -> Rates:
    arm, base, new, gates = _shared
    seed, first, count = job
    counts: dict[str, Counter[str]] = {}
    for i in range(first, first + count):
        a, b = draw(base, new, np.random.default_rng([seed, i]))
        result = gate(b, a, gates, strict=True, other_seeds=True)
        for row in result.rows:
            own = counts.setdefault(row.name, Counter())
            own[row.verdict] += 1
            own[SIGNIFICANT] += row.p is not None and row.p <= ALPHA
        counts.setdefault(WHOLE, Counter())[result.verdict] += 1
    return Rates(arm, count, counts)
