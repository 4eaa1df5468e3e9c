"""Which cases of two runs answer each other, and why others have no answer. Pure.

A place is a case without its seed, a prompt and a shape. The seed of a case is the one that its clip started from, so runs
under other seeds have other cases of the same places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from sora_eval.compare.run_data import RunData
from sora_eval.stats.cluster_means import sign_flip_p
from sora_eval.stats.intervals import Array


def place_of(case: str) -> str:
    """The case without its seed.

    >>> place_of("p1/32x32x17/3")
    'p1/32x32x17'
    """
    return case.rpartition("/")[0]


def seed_of(case: str) -> str:
    """The seed of a case, as text.

    >>> seed_of("p1/32x32x17/3")
    '3'
    """
    return case.rpartition("/")[2]


@dataclass(frozen=True)
class Unpaired:
    """Ids of the cases that only one side scored, by the reason."""

    missing: tuple[str, ...] = ()  # BASE has the case, NEW does not
    extra: tuple[str, ...] = ()  # NEW has the case, BASE does not
    failed: tuple[str, ...] = ()  # an error in NEW, whatever BASE has
    recovered: tuple[str, ...] = ()  # an error in BASE, scored in NEW
    vanished: tuple[str, ...] = ()  # scored in BASE, undefined in NEW
    appeared: tuple[str, ...] = ()  # undefined in BASE, scored in NEW
    p: float = 1.0  # one-sided, that NEW loses scores no more often than it gains them
    p_traded: float = 1.0  # one-sided, that the scores which appeared are no better than those which vanished

    def words(self) -> str:
        """The counts for a table, with one example each; empty if every case has a pair.

        >>> Unpaired(failed=("a/40x24x17/0", "b/40x24x17/0")).words()
        '2 cases failed in new (a/40x24x17/0)'
        """
        texts = {
            "missing": "cases are only in base",
            "extra": "cases are only in new",
            "failed": "cases failed in new",
            "recovered": "cases failed in base",
            "vanished": "cases have a score in base only",
            "appeared": "cases have a score in new only",
        }
        groups = [(getattr(self, name), text) for name, text in texts.items()]
        return "; ".join(f"{len(ids)} {text} ({ids[0]})" for ids, text in groups if ids)

    @property
    def p_mended(self) -> float:
        """One-sided exact p that cases fail in BASE no more often than in NEW; 1 where none fails in BASE.

        >>> Unpaired(recovered=("a", "b", "c", "d", "e")).p_mended  # 1 / 2^5
        0.03125
        """
        more, both = len(self.recovered), len(self.recovered) + len(self.failed)
        return float(stats.binomtest(more, both, alternative="greater").pvalue) if both else 1.0


def account(
    base: RunData, new: RunData, metric: str, label: str, scored: Sequence[set[str]]
) -> tuple[dict[str, list[str]], dict[str, list[str]], Unpaired]:
    """The scored cases of either side by place, for the places of a slice that both sides scored, and the cases without answer.

    `scored` are the ids of either side. A case has its answer in the case of the same seed where the other run has that seed at
    all, else in any of its place.
    """
    cases = [data.cases(label) for data in (base, new)]
    seeds = [{seed_of(i) for i in side} for side in cases]
    places = [{place_of(i) for i in side} for side in cases]
    by_place = [_by_place(ids & side) for ids, side in zip(scored, cases, strict=True)]

    def without(side: int) -> tuple[str, ...]:
        """Cases that the other side should have and has not."""
        other = 1 - side
        return tuple(
            sorted(
                i
                for i in cases[side] - cases[other]
                if place_of(i) not in places[other] or (seed_of(i) in seeds[other] and seeds[other] <= seeds[side])
            )
        )

    def lost(side: int, undefined: bool) -> tuple[str, ...]:
        """Cases of a side without a score whose place the other side scored; those that failed in NEW may have failed in
        BASE too."""
        data, answers = (base, new)[side], by_place[1 - side]

        def counts(i: str) -> bool:
            status, place = _status(data, metric, i), place_of(i)
            if (status == "undefined") is not undefined:
                return False
            failed = "error" in (status, data.samples[i].status)
            return place in answers or (side == 1 and failed and place in places[0])

        return tuple(sorted(filter(counts, cases[side] - scored[side])))

    both = sorted(by_place[0].keys() & by_place[1].keys())
    vanished, appeared = lost(1, True), lost(0, True)
    asked = [_by_place(ids) for ids in cases]
    undefined = [
        {place: sum(_status(data, metric, i) == "undefined" for i in ids) / len(ids) for place, ids in side.items()}
        for data, side in zip((base, new), asked, strict=True)
    ]
    losses = {p: undefined[1][p] - undefined[0][p] for p in sorted(undefined[0].keys() & undefined[1].keys())}
    p = _loss_p(losses, {place: new.clusters[ids[0]] for place, ids in asked[1].items()})
    unpaired = Unpaired(without(0), without(1), lost(1, False), lost(0, False), vanished, appeared, p)
    return {p: by_place[0][p] for p in both}, {p: by_place[1][p] for p in both}, unpaired


def _status(data: RunData, metric: str, case: str) -> str:
    """The status of a case's score, '' where it has no row."""
    row = data.scores.get(metric, {}).get(case)
    return "" if row is None else row.status


def _by_place(ids: set[str]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for i in sorted(ids):
        places.setdefault(place_of(i), []).append(i)
    return places


def _loss_p(losses: Mapping[str, float], clusters: Mapping[str, str]) -> float:
    """One-sided p that places lose scores no more often than they gain them: signs of whole prompts are flipped; 1 unless more
    are lost.

    `losses` are by place the share of the new run's seeds that are undefined less that of the baseline's.

    >>> _loss_p({"a/s": 1.0, "b/s": 0.5, "c/s": 0.5}, {"a/s": "a", "b/s": "b", "c/s": "c"})  # 3 losses, no gain: 1 / 2^3
    0.125
    """
    if sum(losses.values()) <= 0:
        return 1.0
    two_sided = sign_flip_p(list(losses.values()), [clusters[place] for place in losses])
    return 0.5 if two_sided is None else two_sided / 2


@dataclass(frozen=True)
class SeedTable:
    """Scores of two sides, a row per place and a column per seed, NaN where there is none. `clusters` are those of the places;
    `identical` says that the new run's clips are the baseline's, whose other seeds are then left out."""

    clusters: list[str]
    base: Array
    new: Array
    base_seeds: list[str]
    new_seeds: list[str]
    identical: bool

    @property
    def shared(self) -> list[tuple[int, int]]:
        """The columns of every seed that both sides have."""
        return [(self.base_seeds.index(s), j) for j, s in enumerate(self.new_seeds) if s in self.base_seeds]


def seed_table(base: RunData, new: RunData, metric: str, label: str) -> tuple[SeedTable | None, Unpaired]:
    """The scores of a metric on a slice, and the cases without answer; no table where no place has a score on both sides.

    Where both sides have the same seeds a score without a partner is left out: it would shift the mean.
    """
    values = [{i: r.value for i, r in data.scores.get(metric, {}).items() if r.value is not None} for data in (base, new)]
    base_ids, new_ids, unpaired = account(base, new, metric, label, [set(v) for v in values])
    row = new.metrics.get((metric, "all"))
    if row is not None and row.higher_is_better is not None and unpaired.vanished and unpaired.appeared:
        gone = _by_cluster(unpaired.vanished, values[0], new.clusters)
        come = _by_cluster(unpaired.appeared, values[1], base.clusters)
        sign = 1 if row.higher_is_better else -1
        unpaired = replace(unpaired, p_traded=float(stats.mannwhitneyu(sign * come, sign * gone, alternative="greater").pvalue))
    identical = _same_clips(base, new, new_ids)
    (a, base_seeds), (b, new_seeds) = (
        _columns(ids, v) for ids, v in zip((new_ids if identical else base_ids, new_ids), values, strict=True)
    )
    clusters = np.array([new.clusters[ids[0]] for ids in new_ids.values()], object)
    if base_seeds == new_seeds:
        both = np.isfinite(a) & np.isfinite(b)
        kept = np.asarray(both.any(1), bool)
        a, b, clusters = np.where(both, a, np.nan)[kept], np.where(both, b, np.nan)[kept], clusters[kept]
    table = SeedTable(clusters.tolist(), a, b, base_seeds, new_seeds, identical) if len(clusters) else None
    return table, unpaired


def _by_cluster(ids: Sequence[str], other: Mapping[str, float], clusters: Mapping[str, str]) -> Array:
    """Of every prompt of these cases the mean of the scores that the other side has at their places."""
    cluster_of = {place_of(i): clusters[i] for i in ids}
    found: dict[str, list[float]] = {}
    for i, value in other.items():
        if place_of(i) in cluster_of:
            found.setdefault(cluster_of[place_of(i)], []).append(value)
    return np.array([np.mean(v) for v in found.values()])


def _same_clips(base: RunData, new: RunData, cases: Mapping[str, Sequence[str]]) -> bool:
    """Whether all these cases of the new run have the very frames of the same cases of the baseline."""
    hashes = [
        (new.samples[i].sha256, base.samples[i].sha256 if i in base.samples else None) for ids in cases.values() for i in ids
    ]
    return bool(hashes) and all(a is not None and a == b for a, b in hashes)


def _columns(by_place: Mapping[str, Sequence[str]], values: Mapping[str, float]) -> tuple[Array, list[str]]:
    """Scores of one side (places, seeds), NaN where a seed has none, and the seeds."""
    seeds = sorted({seed_of(i) for ids in by_place.values() for i in ids}, key=lambda s: (len(s), s))
    column = {s: j for j, s in enumerate(seeds)}
    out = np.full((len(by_place), len(seeds)), np.nan)
    for row, ids in zip(out, by_place.values(), strict=True):
        for i in ids:
            row[column[seed_of(i)]] = values[i]
    return out, seeds
