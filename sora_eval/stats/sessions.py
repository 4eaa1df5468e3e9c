"""Noise of speed between sessions: how far the medians of several sessions on one machine lie apart. Pure.

Repeats inside a session see the same clocks, caches, neighbours and temperature, so their spread says nothing of the next
session's. The session is a random effect of its own (one-way random effects: Searle, Casella and McCulloch 1992).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_SESSIONS = 3  # with two, a t interval of one degree of freedom is 13 deviations wide


@dataclass(frozen=True)
class SessionNoise:
    """Relative standard deviations, in per cent: `within` of a repeat in its session, `between` of a session beyond what its
    repeats explain, `median` of a session's median, which has both. `sessions` is their number, `repeats` the median number of
    repeats of a session."""

    within: float
    between: float
    median: float
    sessions: int
    repeats: int

    def words(self) -> str:
        """The components for a note.

        >>> SessionNoise(2.0, 3.0, 3.2, 5, 20).words()
        '5 sessions on one machine: 2 % within a session, 3 % between sessions, 3.2 % of a median of 20 repeats'
        """
        return (
            f"{self.sessions} sessions on one machine: {self.within:.2g} % within a session, {self.between:.2g} % between "
            f"sessions, {self.median:.2g} % of a median of {self.repeats} repeats"
        )


def session_noise(points: Mapping[str, Sequence[Sequence[float]]]) -> SessionNoise | None:
    """The components of the logarithms of repeats; `points` holds, by timed point, the repeats of every session.

    Variances are pooled over points, whose sessions are the same and so give no further degrees of freedom. The variance of a
    median is pi / 2 of that of a mean; the spread of repeats is 1.4826 times their median absolute deviation, which stalls
    do not move. None without a point of at least two sessions with two repeats each, all above 0.
    """
    within, medians, errors, counts, sessions = [], [], [], list[int](), []
    for of_point in points.values():
        logs = [np.log(repeats) for repeats in of_point if len(repeats) >= 2 and min(repeats) > 0]
        if len(logs) < 2:
            continue
        spreads = [float(np.square(1.4826 * np.median(np.abs(x - np.median(x))))) for x in logs]
        within.append(float(np.mean(spreads)))
        errors.append(float(np.mean([math.pi / 2 * s / len(x) for s, x in zip(spreads, logs, strict=True)])))
        medians.append(float(np.var([np.median(x) for x in logs], ddof=1)))
        counts += [len(x) for x in logs]
        sessions.append(len(logs))
    if not medians:
        return None
    total = float(np.mean(medians))
    between = max(0.0, total - float(np.mean(errors)))
    one, apart, of_median = (100 * math.sqrt(v) for v in (float(np.mean(within)), between, total))
    return SessionNoise(one, apart, of_median, min(sessions), int(np.median(counts)))
