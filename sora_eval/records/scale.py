"""The scale behind a number: what trivial clips and the best possible ones have on the same cases of the same metric.

0 is the better of black clips and noise, which need no model; 1 is what cannot be beaten but by chance, `PERFECT`. The others
(frozen, shuffled, oracles such as the VAE) are marks between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

EMPTY = ("black", "noise")  # trivial clips without content
TRIVIAL_MARKS = (*EMPTY, "frozen", "shuffled")  # the last two are made of perfect clips: their first frame, their frames mixed
PERFECT = "perfect"
SAME_N = 0.05  # a statistic that depends on n is placed where the numbers of clips differ by no more than this share


@dataclass(frozen=True)
class Mark:
    """The value of a metric on one kind of clips, of which `n` have one; None with the `reason` where there is none."""

    value: float | None
    n: int = 0
    reason: str = ""


@dataclass(frozen=True)
class MetricScale:
    """The marks of one output of a metric under one `signature`, by the name of the clips; `of_n` where they depend on n."""

    signature: str
    higher_is_better: bool | None
    marks: Mapping[str, Mark]
    of_n: bool = False

    @property
    def zero(self) -> str:
        """The name of the mark at 0: of black clips and noise the better, if it is worse than perfect; '' without one."""
        if self.higher_is_better is None:
            return ""
        one, sign = self._value(PERFECT), 1.0 if self.higher_is_better else -1.0
        below = [
            (sign * value, name)
            for name in EMPTY
            if one is not None and (value := self._value(name)) is not None and sign * value < sign * one
        ]
        return max(below)[1] if below else ""

    @property
    def why_none(self) -> str:
        """Why nothing can be placed between 0 and 1; '' where it can."""
        if self.higher_is_better is None:
            return "the metric has no better end"
        if self._value(PERFECT) is None:
            mark = self.marks.get(PERFECT)
            return f"perfect clips have no value: {mark.reason}" if mark and mark.reason else "perfect clips have no value"
        return "" if self.zero else "neither black clips nor noise are worse than perfect ones"

    def place(self, value: float | None, n: int | None = None) -> float | None:
        """Where a value is: 0 at the trivial clips, 1 at perfect ones, below 0 or above 1 beyond them. None where there is no
        value, no scale, or another n of a statistic that depends on it.

        >>> fvd = MetricScale("fvd", False, {"black": Mark(900.0), "noise": Mark(2000.0), "perfect": Mark(100.0)})
        >>> fvd.zero, fvd.place(500.0)
        ('black', 0.5)
        """
        zero, one = self._value(self.zero), self._value(PERFECT)
        if value is None or zero is None or one is None or not math.isfinite(value):
            return None
        if self.of_n and n is not None and abs(n - self.marks[PERFECT].n) > SAME_N * self.marks[PERFECT].n:
            return None
        return (value - zero) / (one - zero)

    def _value(self, name: str) -> float | None:
        mark = self.marks.get(name)
        return None if mark is None or mark.value is None or not math.isfinite(mark.value) else mark.value


@dataclass(frozen=True)
class Scale:
    """The scales of the outputs of a suite, by name; `suite` is its id, `clips` the number of its cases."""

    suite: str
    clips: int
    metrics: Mapping[str, MetricScale]

    def of(self, metric: str, signature: str) -> MetricScale | None:
        """The scale of an output; None where it was made under another signature."""
        scale = self.metrics.get(metric)
        return scale if scale is not None and scale.signature == signature else None
