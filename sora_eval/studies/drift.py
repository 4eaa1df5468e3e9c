"""How far the clips of equal cases lie apart when nothing changed: repeats of one checkpoint on other threads, batches,
backends or cards, whose farthest pair bounds what is called UNCHANGED."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from sora_eval.compare.difference import unlike
from sora_eval.compare.drift_bounds import Bound, DriftBounds
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.fidelity.measure import measured
from sora_eval.registry.paired_metrics import CHEAP
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import now
from sora_eval.util.errors import RunError


def drift_bounds(runs: Sequence[RunFolder | RunData], specs: Sequence[str] = CHEAP) -> DriftBounds:
    """The farthest value of every paired output of `specs` between any two of these runs.

    The cases of a suite are alike in how far repeats lie apart, so a further case in which nothing changed is past the farthest
    of n with a chance of 1 / (n + 1) at most. Raises RunError for fewer than two runs, one run twice, unlike suites, other
    weights, runs that are not whole, and no pair of clips.
    """
    data = [data_of(run) for run in runs]
    if len({Path(run.path).resolve() for run in data}) < len(data):
        raise RunError("one of these runs is given twice: its clips lie at no distance from themselves; give each once")
    if len(data) < 2:
        raise RunError(f"found {len(data)} run, expected two or more of one checkpoint: repeats on other threads or backends")
    for run in data:
        _check(data[0], run)
    farthest: dict[str, Bound] = {}
    counts: dict[str, set[str]] = {}
    for base, new in combinations(data, 2):
        fidelity = measured(base, new, specs).fidelity
        for name, output in (fidelity.outputs if fidelity is not None else {}).items():
            for case, value in output.values.items():
                counts.setdefault(name, set()).add(case)
                # Of equal frames no metric is asked, so that its signature may be unknown there.
                if name not in farthest or output.past(value, farthest[name].value):
                    farthest[name] = Bound(value, output.signature)
    if not farthest:
        raise RunError(
            f"{data[0].path} and the others have no pair of clips to compare: expected the same cases, of the same seeds, and "
            "the clips of each"
        )
    cases = min(len(ids) for ids in counts.values())
    specs_of = tuple(dict.fromkeys(run.head.generator.spec for run in data))
    return DriftBounds(data[0].head.suite.id, farthest, cases, specs_of, now())


def _check(first: RunData, run: RunData) -> None:
    """Raises RunError for a run that is no repeat of the first."""
    if why := run.incomplete() or unlike(first, run):
        raise RunError(f"{run.path} is no repeat of {first.path}: {why}")
    weights = [data.head.generator.weights for data in (first, run)]
    if all(weights) and weights[0] != weights[1]:
        raise RunError(f"{run.path} is no repeat of {first.path}: it has other weights, {weights[1]} against {weights[0]}")
