"""What is voted on: the pairs of clips of two runs, and a sample of them. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sora_eval.compare.difference import other_prompts
from sora_eval.compare.run_data import RunData
from sora_eval.runs.rows import SampleRow
from sora_eval.util.errors import VoteError


@dataclass(frozen=True)
class Pair:
    """The clips of one case in two runs."""

    case: str
    prompt: str
    cluster: str
    clips: tuple[SampleRow, SampleRow]


@dataclass(frozen=True)
class Ballot:
    """The pairs of two runs that can be voted on, and how many cases were left out, by reason. `id` names the clips of both
    runs, in either order, and neither run."""

    id: str
    pairs: tuple[Pair, ...]
    left_out: Mapping[str, int]


def ballot_id(a: RunData, b: RunData) -> str:
    """A hash of the clips of two runs, 12 hex digits; it stays when a folder is renamed, and is another one of other clips."""
    both = sorted(_content(data) for data in (a, b))
    return hashlib.sha256("|".join(both).encode()).hexdigest()[:12]


def _content(data: RunData) -> str:
    lines = sorted(f"{i} {row.sha256}" for i, row in data.samples.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def ballot_of(a: RunData, b: RunData) -> Ballot:
    """The ballot of two runs. Raises VoteError where the runs have no pair of unlike clips of one case, or other prompts."""
    if why := other_prompts(a, b):
        raise VoteError(f"the runs were not asked the same: {why}")
    out, pairs = Counter[str](), []
    for case in sorted({*a.samples, *b.samples}):
        rows = [data.samples.get(case) for data in (a, b)]
        one, other = rows
        if one is None or other is None:
            out["only one run has them"] += 1
        elif one.status != "ok" or other.status != "ok":
            out["a run has no clip of them"] += 1
        elif one.sha256 == other.sha256:
            out["both clips are the same"] += 1
        elif one.bucket != other.bucket:
            out["the clips differ in size, length or rate, which would give them away"] += 1
        else:
            pairs.append(Pair(case, one.prompt, b.clusters[case], (one, other)))
    if not pairs:
        reasons = "; ".join(f"{n} cases: {why}" for why, n in out.most_common()) or "neither run has a case"
        raise VoteError(f"nothing to vote on: {reasons}; expected two runs of one suite under the same seeds")
    return Ballot(ballot_id(a, b), tuple(pairs), dict(out))


def drawn(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """At most `count` pairs at random, one of every prompt before a second one of any: prompts are what tests count."""
    rng = np.random.default_rng(seed)
    turn, places = Counter[str](), list[tuple[int, float, int]]()
    for i in rng.permutation(len(pairs)).tolist():
        places.append((turn[pairs[i].cluster], float(rng.random()), i))
        turn[pairs[i].cluster] += 1
    return [pairs[i] for _, _, i in sorted(places)[:count]]
