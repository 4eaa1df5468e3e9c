"""How often a gate errs and what it finds: thousands of gates on virtual runs drawn from a pool of real ones. Pure.

A virtual run answers each prompt with the clips of one run of the pool, so a handful of repeats under other seeds gives as
many different pairs of runs as a study wants, each made of clips that a checkpoint really produced.
"""

from __future__ import annotations

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

WHOLE = "gate"  # the row of the whole gate
SIGNIFICANT = "p <= 0.05"  # of a row's own test, whatever its limit and Holm's correction
CHUNK = 10  # draws a work item


@dataclass(frozen=True)
class Rates:
    """Outcomes of one arm over its draws: `counts` has, for every gated row and the whole gate, how often it got each."""

    arm: str
    draws: int = 0
    counts: Mapping[str, Counter[str]] = field(default_factory=dict)

    def rate(self, row: str, outcome: str = Verdict.REGRESSED) -> tuple[float, float, float]:
        """Share of the draws with an outcome, and its 95 % interval (exact: Clopper & Pearson 1934)."""
        hits = self.counts[row][outcome]
        low, high = stats.binomtest(hits, self.draws).proportion_ci(CONFIDENCE)
        return hits / self.draws, float(low), float(high)

    def joined(self, other: Rates) -> Rates:
        """The same arm with the draws of both."""
        rows = dict.fromkeys([*self.counts, *other.counts])
        counts = {r: self.counts.get(r, Counter()) + other.counts.get(r, Counter()) for r in rows}
        return replace(self, draws=self.draws + other.draws, counts=counts)


@dataclass(frozen=True)
class GateErrors:
    """The rates of a suite's gate: of the baseline's checkpoint against itself first, then of every other generator."""

    suite: str
    cases: int
    label: str
    repeats: int
    others: int
    rates: tuple[Rates, ...]


def compose(pool: Sequence[RunData], chosen: Mapping[str, int]) -> RunData:
    """A run that answers each prompt with the clips of run `chosen[prompt_id]` of the pool, all of the same cases."""
    first = pool[0]
    source = {case: chosen[row.prompt_id] for case, row in first.samples.items()}
    features = {}
    for name, (ids, values) in first.features.items():
        places = [{case: i for i, case in enumerate(side.features[name][0])} for side in pool]
        kept = [case for case in ids if case in places[source[case]]]
        rows = [pool[source[case]].features[name][1][places[source[case]][case]] for case in kept]
        features[name] = (kept, np.array(rows, values.dtype).reshape(len(kept), -1))
    return replace(
        first,
        path="drawn from a pool",
        samples={case: pool[k].samples[case] for case, k in source.items()},
        scores={m: {case: pool[source[case]].scores[m][case] for case in rows} for m, rows in first.scores.items()},
        features=features,
    )


def draw(base: Sequence[RunData], new: Sequence[RunData] | None, rng: np.random.Generator) -> tuple[RunData, RunData]:
    """Two virtual runs: of `base` and of `new`, or with None two of `base` that share no clip."""
    prompts = list(dict.fromkeys(row.prompt_id for row in base[0].samples.values()))
    first = rng.integers(len(base), size=len(prompts))
    if new is None:
        second = (first + rng.integers(1, len(base), size=len(prompts))) % len(base)
    else:
        second = rng.integers(len(new), size=len(prompts))
    a, b = (dict(zip(prompts, chosen.tolist(), strict=True)) for chosen in (first, second))
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

    With `new` None the pairs are A/A: the same checkpoint, other seeds, no clip in both. Draw i depends on (seed, i) alone.
    Raises SuiteError when the pool cannot give such pairs.
    """
    if new is None and len(base) < 2:
        raise SuiteError(f"{len(base)} repeat of the baseline cannot be drawn against itself: at least 2 are needed")
    if len({frozenset(s.samples) for s in [*base, *(new or [])]}) > 1:
        raise SuiteError("the runs of the pool do not hold the same cases: make them with one suite")
    jobs = [(seed, i, min(CHUNK, draws - i)) for i in range(0, draws, CHUNK)]
    with ProcessPoolExecutor(workers, initializer=_share, initargs=(arm, base, new, gates)) as executor:
        yield from executor.map(_rates, jobs)


_shared: tuple[
    str, Sequence[RunData], Sequence[RunData] | None, Mapping[str, Gate]
]  # of a worker: sent once, not with every job


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
