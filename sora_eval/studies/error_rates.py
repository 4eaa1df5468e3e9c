"""Error rates and power of a gate: thousands of gates on virtual runs sampled from a pool of real ones. Pure.

A virtual run answers each prompt with the clips of one run of the pool, so a few repeats under other seeds give as many
different pairs of runs as a study needs, each of clips that a checkpoint generated.
"""

from __future__ import annotations

import math
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from sora_eval.compare.cases import place_of, seed_of
from sora_eval.compare.run_data import RunData, part_of
from sora_eval.gate.judge import allowed_change, gate
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import SampleRow, ScoreRow
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
    """The rates of a suite's gate, first where nothing changed.

    `cases` is the number of clips of one seed, `seeds` that of the seeds of baseline and run per prompt; the pool has `pool`
    seeds of the baseline's checkpoint.
    """

    suite: str
    cases: int
    label: str
    seeds: tuple[int, int]
    pool: int
    rates: tuple[Rates, ...]


def by_seed(runs: Sequence[RunData]) -> list[RunData]:
    """Every seed of every run as a run of its own: the pool that virtual runs are drawn from."""
    out = []
    for run in runs:
        for seed in sorted({seed_of(i) for i in run.samples}, key=lambda s: (len(s), s)):
            out.append(part_of(run, {i for i in run.samples if seed_of(i) == seed}))
    return out


def compose(pool: Sequence[RunData], chosen: Mapping[str, Sequence[int]], slots: Sequence[int]) -> RunData:
    """A run with several seeds: the seed `slots[j]` of a prompt is the clips of run `chosen[cluster][j]` of the pool.

    Rows of scores keep the ids that they had: a comparison knows them by their keys.
    """
    first, samples = pool[0], dict[str, SampleRow]()
    scores: dict[str, dict[str, ScoreRow]] = {m: {} for m in first.scores}
    vectors: dict[str, tuple[list[str], list[Any]]] = {m: ([], []) for m in first.features}
    where = [{m: {case: i for i, case in enumerate(ids)} for m, (ids, _) in side.features.items()} for side in pool]
    for k, side in enumerate(pool):
        for case, row in side.samples.items():
            for j, slot in enumerate(slots):
                if chosen[side.clusters[case]][j] != k:
                    continue
                name = f"{place_of(case)}/{slot}"
                samples[name] = row.model_copy(update={"id": name})
                for metric, rows in side.scores.items():
                    if case in rows:
                        scores[metric][name] = rows[case]
                for metric, places in where[k].items():
                    if case in places:
                        vectors[metric][0].append(name)
                        vectors[metric][1].append(side.features[metric][1][places[case]])
    features = {m: (ids, np.array(rows).reshape(len(ids), -1)) for m, (ids, rows) in vectors.items()}
    head = first.head.model_copy(update={"seed_offset": 0})
    return replace(first, path="sample of a pool", head=head, samples=samples, scores=scores, features=features)


def gated_only(data: RunData, metrics: Iterable[str]) -> RunData:
    """The data without the scores and vectors of other metrics, which a draw would copy for nothing."""
    names = list(metrics)
    scores = {m: data.scores[m] for m in names if m in data.scores}
    return replace(data, scores=scores, features={m: data.features[m] for m in names if m in data.features})


def draw(
    base: Sequence[RunData],
    new: Sequence[RunData] | None,
    rng: np.random.Generator,
    seeds: tuple[int, int] = (1, 1),
    *,
    same_seeds: bool = False,
    share: float | None = None,
) -> tuple[RunData, RunData]:
    """A virtual baseline of `seeds[0]` seeds a prompt and a virtual run of `seeds[1]`.

    Both are of `base` without `new`, and share no clip. With `same_seeds` the run's seeds are the first of the baseline's: run
    i of `new` started from the seeds of run i of `base`. With a `share` the run is of `base` too, but that share of its seeds
    of prompts, drawn at random, is of `new`: a true change of that share of the change between the two.
    """
    prompts = list(dict.fromkeys(base[0].clusters.values()))
    held, asked = seeds
    first, second = dict[str, list[int]](), dict[str, list[int]]()
    for prompt in prompts:
        if same_seeds:
            assert new is not None
            common = rng.permutation(len(new))[:asked].tolist()
            others = [i for i in rng.permutation(len(base)).tolist() if i not in common]
            first[prompt], second[prompt] = [*common, *others[: held - asked]], common
        elif new is None or share is not None:
            order = rng.permutation(len(base)).tolist()
            first[prompt], second[prompt] = order[:held], order[held : held + asked]
            if new is not None and share is not None:
                worse = (len(base) + rng.permutation(len(new))).tolist()
                taken = rng.random(asked) < share
                second[prompt] = [worse[j % len(new)] if taken[j] else i for j, i in enumerate(second[prompt])]
        else:
            first[prompt] = rng.permutation(len(base))[:held].tolist()
            second[prompt] = rng.permutation(len(new))[:asked].tolist()
    start = 0 if same_seeds else held
    pool = [*base, *(new or [])] if share is not None else new or base
    return compose(base, first, range(held)), compose(pool, second, range(start, start + asked))


@dataclass(frozen=True)
class Arm:
    """What is gated against virtual baselines of `base`, and how: see `draw`. Without `new` the pairs are A/A."""

    name: str
    base: Sequence[RunData]
    new: Sequence[RunData] | None = None
    same_seeds: bool = False
    share: float | None = None


def check_pool(base: Sequence[RunData], new: Sequence[RunData] | None, seeds: tuple[int, int]) -> None:
    """Raises SuiteError for a pool that `draw` cannot draw from: too few seeds, or runs of different cases."""
    held, asked = seeds
    needed = held + asked if new is None else held
    if len(base) < needed or (new is not None and len(new) < asked):
        found = f"{len(base)} seeds of the baseline's checkpoint" + (f" and {len(new)} of the other" if new is not None else "")
        raise SuiteError(f"the pool has {found}: {needed} and {asked} are needed for {held} against {asked} a prompt")
    if len({frozenset(map(place_of, s.samples)) for s in [*base, *(new or [])]}) > 1:
        raise SuiteError("the runs of the pool do not hold the same cases: make them with one suite")


def draw_rates(
    arm: Arm, gates: Mapping[str, Gate], draws: int, *, seeds: tuple[int, int] = (1, 1), seed: int = 0, workers: int = 1
) -> Iterator[Rates]:
    """Gate `draws` pairs of virtual runs; yields the rates of chunks of CHUNK draws, which `Rates.joined` adds up.

    `seeds` are the number of the baseline's and of the run's per prompt. Draw i depends on (seed, i) alone. Raises SuiteError
    for runs of different cases, and for a pool of too few seeds.
    """
    check_pool(arm.base, None if arm.share is not None else arm.new, seeds)
    base, new = (None if side is None else [gated_only(run, gates) for run in side] for side in (arm.base, arm.new))
    arm = replace(arm, base=base or arm.base, new=new)
    jobs = [(seed, i, min(CHUNK, draws - i)) for i in range(0, draws, CHUNK)]
    if workers == 1:
        _share(arm, gates, seeds)
        yield from map(_rates, jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can hang it
    with ProcessPoolExecutor(workers, context, _share, (arm, gates, seeds)) as executor:
        yield from executor.map(_rates, jobs)


_shared: tuple[Arm, Mapping[str, Gate], tuple[int, int]]  # state of a worker process, sent once instead of with every job


def _share(arm: Arm, gates: Mapping[str, Gate], seeds: tuple[int, int]) -> None:
    global _shared  # noqa: PLW0603
    _shared = arm, gates, seeds


def _rates(job: tuple[int, int, int]) -> Rates:
    arm, gates, seeds = _shared
    seed, first, count = job
    counts: dict[str, Counter[str]] = {}
    for i in range(first, first + count):
        rng = np.random.default_rng([seed, i])
        a, b = draw(arm.base, arm.new, rng, seeds, same_seeds=arm.same_seeds, share=arm.share)
        result = gate(b, a, gates, strict=True)
        for row in result.rows:
            own = counts.setdefault(row.name, Counter())
            own[row.verdict] += 1
            own[SIGNIFICANT] += row.p is not None and row.p <= ALPHA
        counts.setdefault(WHOLE, Counter())[result.verdict] += 1
    return Rates(arm.name, count, counts)


def share_at_limit(base: Sequence[RunData], new: Sequence[RunData], gates: Mapping[str, Gate]) -> tuple[str, float] | None:
    """The row that first reaches its limit when a growing share of clips is of `new`, and that share; None if none does.

    The change of a row is that of its means over all seeds of both pools; of a set metric that of the mean distances of their
    seeds.
    """
    shares = {}
    for row in gate(merged_pool(new), merged_pool(base), gates).rows:
        spec = gates.get(row.metric)
        if spec is None or row.slice != spec.slice or row.base is None or row.change is None:
            continue
        limit = spec.max_increase if row.change > 0 else spec.max_decrease
        allowed = allowed_change(limit, spec.min_change, row.base)
        if math.isfinite(allowed) and abs(row.change) > allowed:
            shares[row.name] = allowed / abs(row.change)
    return min(shares.items(), key=lambda item: item[1], default=None)


def merged_pool(pool: Sequence[RunData]) -> RunData:
    """All seeds of a pool as one run."""
    chosen = {prompt: list(range(len(pool))) for prompt in dict.fromkeys(pool[0].clusters.values())}
    return compose(pool, chosen, range(len(pool)))
