"""How well metrics agree with votes, strengths of the runs, and metrics' differences corrected by the votes. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sora_eval.compare.run_data import RunData, numbered
from sora_eval.stats.bradley_terry import LEFT, RIGHT, TIE, Strengths, bradley_terry
from sora_eval.stats.cluster_means import mean_interval
from sora_eval.stats.intervals import Interval
from sora_eval.stats.natural_scene import clip_distances
from sora_eval.stats.prediction_powered import Powered, prediction_powered_mean
from sora_eval.util.errors import RefusedError, VoteError
from sora_eval.votes.ballot import ballot_id
from sora_eval.votes.votes import Vote

CHOICES = {"left": LEFT, "right": RIGHT, "tie": TIE}


@dataclass(frozen=True)
class Judgement:
    """A vote on two known runs, by their numbers; `choice` is LEFT, RIGHT or TIE."""

    case: str
    cluster: str
    left: int
    right: int
    choice: int
    voter: str

    @property
    def runs(self) -> tuple[int, int]:
        """Base and new: the run that was named first, and the other."""
        return min(self.left, self.right), max(self.left, self.right)

    @property
    def for_new(self) -> int:
        """1 for the new run, -1 for the base, 0 for a tie."""
        return self.choice if self.left == self.runs[1] else -self.choice


@dataclass(frozen=True)
class Share:
    """A share of `n` with its interval over prompts."""

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True)
class MetricAgreement:
    """`share` of the votes that decided whose choice the metric prefers too, half a vote where it cannot tell the clips apart
    (`undecided`); None with the `reason`."""

    metric: str
    share: Share | None
    undecided: int
    reason: str


@dataclass(frozen=True)
class Corrected:
    """Two runs by votes and one metric, over all `cases` in which both have a score, of which `voted` have votes. `change` is
    the metric's mean difference, new minus base; `preference` the mean vote for the new run, -1 to 1."""

    metric: str
    base: str
    new: str
    cases: int
    voted: int
    change: float
    preference: Powered


@dataclass(frozen=True)
class Agreement:
    """`left` is the share of decided votes for the left; `voters` of pairs of votes on one pair of clips that agree. Votes of
    other runs than those given are `foreign`. `strengths` is None with the reason `no_strengths`."""

    runs: tuple[str, ...]
    votes: int
    ties: int
    foreign: int
    voter_count: int
    left: Share | None
    voters: Share | None
    metrics: tuple[MetricAgreement, ...]
    strengths: Strengths | None
    no_strengths: str
    corrected: tuple[Corrected, ...]


def agreement(votes: Sequence[Vote], runs: Sequence[RunData]) -> Agreement:
    """The agreement of the metrics of runs with votes on their clips. Raises VoteError where no vote is on two of the runs."""
    judgements, foreign = _resolved(votes, runs)
    if not judgements:
        raise VoteError(
            f"none of {len(votes)} votes is on clips of these {len(runs)} runs; name the runs that the page was made of "
            "(with other clips than it showed they are other runs)"
        )
    decided = [j for j in judgements if j.choice != TIE]
    values = {metric: [_clip_values(data, metric) for data in runs] for metric in _metrics(runs)}
    try:
        strengths, reason = _strengths(judgements, len(runs)), ""
    except RefusedError as error:
        strengths, reason = None, str(error)
    return Agreement(
        tuple(numbered([data.label for data in runs])),
        len(judgements),
        len(judgements) - len(decided),
        foreign,
        len({j.voter for j in judgements}),
        _share([float(j.choice == LEFT) for j in decided], [j.cluster for j in decided]),
        _between_voters(decided),
        tuple(_of_metric(metric, by_run, decided, runs) for metric, by_run in values.items()),
        strengths,
        reason,
        tuple(_corrections(judgements, values, runs)),
    )


def _resolved(votes: Sequence[Vote], runs: Sequence[RunData]) -> tuple[list[Judgement], int]:
    """Votes on two of the runs, and how many are on none. Raises VoteError for a vote whose clips are not those of its case."""
    pairs = {ballot_id(runs[i], runs[j]): (i, j) for i, j in combinations(range(len(runs)), 2)}
    out, foreign = [], 0
    for vote in votes:
        if vote.ballot not in pairs:
            foreign += 1
            continue
        i, j = pairs[vote.ballot]
        clips = [s.sha256 if (s := runs[k].samples.get(vote.case)) else None for k in (i, j)]
        if [vote.left, vote.right] not in (clips, clips[::-1]):
            raise VoteError(f"a vote of {vote.voter!r} names clips that are not those of {vote.case!r}; save the votes anew")
        left, right = (i, j) if vote.left == clips[0] else (j, i)
        out.append(Judgement(vote.case, runs[j].clusters[vote.case], left, right, CHOICES[vote.choice], vote.voter))
    return out, foreign


def _share(values: Sequence[float], clusters: Sequence[str]) -> Share | None:
    if not values:
        return None
    interval = mean_interval(values, clusters, span=1.0)
    if interval.low is not None and interval.high is not None:
        interval = Interval(max(interval.low, 0.0), min(interval.high, 1.0), interval.method)
    return Share(float(np.mean(values)), interval, len(values))


def _between_voters(decided: Sequence[Judgement]) -> Share | None:
    """Over pairs of clips that several voters decided: the share of pairs of these votes that agree."""
    groups: dict[tuple[str, tuple[int, int]], list[Judgement]] = defaultdict(list)
    for j in decided:
        groups[j.case, j.runs].append(j)
    values = {
        g[0].case: np.mean([a.for_new == b.for_new for a, b in combinations(g, 2)]) for g in groups.values() if len(g) > 1
    }
    cluster = {j.case: j.cluster for j in decided}
    return _share([float(v) for v in values.values()], [cluster[case] for case in values])


def _strengths(judgements: Sequence[Judgement], runs: int) -> Strengths:
    left, right, choices = zip(*((j.left, j.right, j.choice) for j in judgements), strict=True)
    return bradley_terry(left, right, choices, runs, [j.cluster for j in judgements])


def _metrics(runs: Sequence[RunData]) -> list[str]:
    """The outputs of quality that any run has, in their order."""
    return list(
        dict.fromkeys(
            m for data in runs for m, label in data.metrics if label == "all" and data.metrics[m, label].family != "speed"
        )
    )


def _clip_values(data: RunData, metric: str) -> Mapping[str, float] | str:
    """What a metric says of every clip, larger for better, or why it says nothing."""
    row = data.metrics.get((metric, "all"))
    if row is None:
        return "a run does not have it"
    if row.higher_is_better is None:
        return "neither direction is better"
    sign = 1.0 if row.higher_is_better else -1.0
    if metric not in data.features:
        scores = data.scores.get(metric, {})
        values = {i: sign * r.value for i, r in scores.items() if r.value is not None}
        return values or (f"no clip has a score: {row.reason}" if row.status != "ok" else "no clip has a score")
    kind = row.statistic.kind if row.statistic else ""
    if kind not in ("natural-scene", "niqe") or metric not in data.references:
        return "of a set of clips; one clip has no score"
    ids, vectors = data.features[metric]
    distances = clip_distances("niqe" if kind == "niqe" else "natural-scene", vectors, data.references[metric][1])
    return dict(zip(ids, (sign * distances).tolist(), strict=True))


def _of_metric(
    metric: str, by_run: Sequence[Mapping[str, float] | str], decided: Sequence[Judgement], runs: Sequence[RunData]
) -> MetricAgreement:
    agreed, clusters, undecided, reasons = list[float](), list[str](), 0, Counter[str]()
    for j in decided:
        pair = _pair(metric, by_run, j.case, j.left, j.right, runs)
        if isinstance(pair, str):
            reasons[pair] += 1
            continue
        better = np.sign(pair[0] - pair[1])
        undecided += better == 0
        agreed.append((1 + float(better) * j.choice) / 2)
        clusters.append(j.cluster)
    return MetricAgreement(metric, _share(agreed, clusters), undecided, "; ".join(f"{n} x {why}" for why, n in reasons.items()))


def _pair(
    metric: str, by_run: Sequence[Mapping[str, float] | str], case: str, a: int, b: int, runs: Sequence[RunData]
) -> tuple[float, float] | str:
    """The values of one case in two runs, larger for better, or why they cannot be compared."""
    first, second = by_run[a], by_run[b]
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    if runs[a].metrics[metric, "all"].signature != runs[b].metrics[metric, "all"].signature:
        return "the signatures of the runs differ"
    if case not in first or case not in second:
        return "a clip has no score"
    return first[case], second[case]


def _corrections(
    judgements: Sequence[Judgement], values: Mapping[str, Sequence[Mapping[str, float] | str]], runs: Sequence[RunData]
) -> list[Corrected]:
    out, labels = [], numbered([data.label for data in runs])
    for base, new in sorted({j.runs for j in judgements}):
        votes: dict[str, list[int]] = defaultdict(list)
        for j in judgements:
            if j.runs == (base, new):
                votes[j.case].append(j.for_new)
        for metric, by_run in values.items():
            pairs = {
                case: _pair(metric, by_run, case, base, new, runs) for case in sorted({*runs[base].samples, *runs[new].samples})
            }
            known = {case: pair[1] - pair[0] for case, pair in pairs.items() if not isinstance(pair, str)}
            voted = [float(np.mean(votes[case])) if case in votes else np.nan for case in known]
            if not np.isfinite(voted).any():
                continue
            changes = list(known.values())
            powered = prediction_powered_mean(voted, changes, [runs[new].clusters[c] for c in known], span=2.0)
            sign = 1.0 if runs[new].metrics[metric, "all"].higher_is_better else -1.0
            number = int(np.isfinite(voted).sum())
            out.append(
                Corrected(metric, labels[base], labels[new], len(known), number, sign * float(np.mean(changes)), powered)
            )
    return out
