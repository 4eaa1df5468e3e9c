"""Scores of paired metrics, case by case, and what of them is drift: the records behind fidelity in a comparison. Pure.

They come from `sora_eval.fidelity`, which reads the clips of both runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from sora_eval.compare.drift_bounds import DriftBounds
from sora_eval.runs.rows import ScoreRow

FAMILY = "fidelity"
HOW = "how many cases drifted is not known: measure how far repeats lie apart with 'sora-eval calibrate --drift RUN RUN'"


class Drift(StrEnum):
    """How far the frames moved for one case."""

    UNCHANGED = "UNCHANGED"  # no farther than between repeats in which nothing changed
    DRIFTED = "DRIFTED"  # farther than any of them


@dataclass(frozen=True)
class PairScores:
    """One output of a paired metric on the cases of two runs; `identical` is its value for a clip and itself, `span` the width
    of its limits. `scores` are by case id; one without a value has the reason."""

    metric: str
    unit: str
    higher_is_better: bool
    identical: float
    signature: str
    span: float | None
    scores: Mapping[str, ScoreRow]
    family: str = FAMILY
    note: str = ""  # over which buckets it is pooled

    @property
    def values(self) -> dict[str, float]:
        """The scores that have a value."""
        return {i: row.value for i, row in self.scores.items() if row.value is not None}

    def past(self, value: float, bound: float) -> bool:
        """Whether a value is farther from that of identical clips than a bound."""
        return value < bound if self.higher_is_better else value > bound


@dataclass(frozen=True)
class Fidelity:
    """The paired metrics of a run against the run or baseline of the names `against`; `same` are the cases whose frames are
    equal bit by bit, `bounds` how far repeats lie apart, None where that was not measured."""

    against: tuple[str, ...]
    outputs: Mapping[str, PairScores]
    same: frozenset[str] = frozenset()
    bounds: DriftBounds | None = None

    @property
    def cases(self) -> list[str]:
        """The cases with a score of any output."""
        return list(dict.fromkeys(i for output in self.outputs.values() for i in output.values))

    def states(self) -> dict[str, Drift]:
        """Every case with a score that has a bound: DRIFTED where any is past its bound. Equal frames are UNCHANGED."""
        out: dict[str, Drift] = {}
        for name, output in self.outputs.items():
            bound = self.bounds.of(name, output.signature) if self.bounds is not None else None
            if bound is None:
                continue
            for case, value in output.values.items():
                if output.past(value, bound) and case not in self.same:
                    out[case] = Drift.DRIFTED
                else:
                    out.setdefault(case, Drift.UNCHANGED)
        return out

    def words(self) -> str:
        """`61 of 64 cases drifted (PSNR 31 dB)`: the median of those that did; without bounds, how many have other frames.

        '' where no case has a score.
        """
        cases, states = self.cases, self.states()
        if not cases:
            return ""
        if states:
            moved = [i for i, state in states.items() if state is Drift.DRIFTED]
            return f"{len(moved)} of {len(states)} cases drifted{self._size(moved)}"
        moved = [i for i in cases if i not in self.same]
        if not moved:
            return f"0 of {len(cases)} cases drifted: all frames are equal"
        return f"{len(moved)} of {len(cases)} cases have other frames{self._size(moved)}"

    def warnings(self) -> list[str]:
        """That no bounds tell drift from rounding, and over what the values are pooled; empty where neither holds."""
        unknown = bool(self.cases) and not self.states() and any(i not in self.same for i in self.cases)
        notes = dict.fromkeys(output.note for output in self.outputs.values() if output.note)
        return [HOW] * unknown + [f"{FAMILY}: {note}" for note in notes]

    def _size(self, cases: Iterable[str]) -> str:
        output = self.outputs.get("fidelity.psnr")
        values = [output.values[i] for i in cases if output is not None and i in output.values]
        return f" (PSNR {median(values):.3g} dB)" if values else ""
