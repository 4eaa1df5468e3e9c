"""The response of a metric to graded damage: correlation, effect, direction. Pure numpy and scipy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.stats.distances import Index

CORRELATED = 0.9  # |rank correlation| from which a response is graded
NOTICED = 0.5  # effect in standard deviations from which it is more than noise: a medium effect (Cohen 1988)
EFFECT_LIMIT = 99.0  # where every clip changes by the same amount, the effect has no bound
LEAST_PAIRS = 3  # clips; a standard deviation of fewer says nothing
SAME = 1e-9  # relative; below it a change is rounding

Floats = npt.NDArray[np.float64]

# worse, better: along the metric's own direction. up, down: of a metric without a better end.
Direction = Literal["worse", "better", "up", "down", "blind", "unclear", "unknown"]


def rank_correlation(strengths: Sequence[float], changes: Sequence[float | None]) -> float | None:
    """Spearman's rank correlation of strength with the mean change since strength 0, which is 0 by definition.

    0 where nothing changes; None with fewer than three strengths that have a change.

    >>> rank_correlation([0.2, 0.6, 1.0], [-0.1, -0.2, -0.5])
    -1.0
    """
    pairs = [(s, c) for s, c in zip(strengths, changes, strict=True) if c is not None]
    if len(pairs) < 3:
        return None
    x, y = np.array([(0.0, 0.0), *pairs]).T
    y = np.where(np.abs(y) <= SAME * max(float(np.abs(y).max()), 1.0), 0.0, y)
    return 0.0 if np.ptp(y) == 0 else float(stats.spearmanr(x, y).statistic)


def paired_effect(before: npt.ArrayLike, after: npt.ArrayLike) -> float | None:
    """Mean change over the standard deviation of the changes (Cohen's d_z) of paired scores (n,); NaN pairs are left out.

    Positive where scores rise. Bounded by `EFFECT_LIMIT`; None with fewer than three pairs.

    >>> paired_effect([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    2.0
    """
    change = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    change = change[np.isfinite(change)]
    if len(change) < LEAST_PAIRS:
        return None
    return _standardised(float(change.mean()), float(change.std(ddof=1)))


def set_effect(clean: Index, damaged: Index, value: Callable[[Index], float], least: int) -> tuple[float, float | None]:
    """(change, effect) of the value of a set whose rows `clean[i]` and `damaged[i]` are the same clip.

    The standard deviation is sqrt(n) times the standard error of the paired jackknife; for a mean that is the standard
    deviation of the paired changes, so effects of set metrics compare with those of per-clip ones. A value needs `least` rows.
    """
    n, change = len(clean), value(damaged) - value(clean)
    if n < LEAST_PAIRS or n - 1 < least:
        return change, None
    keep = ~np.eye(n, dtype=bool)
    jackknife = np.array([value(damaged[k]) - value(clean[k]) for k in keep])
    error = np.sqrt((n - 1) / n * np.square(jackknife - jackknife.mean()).sum())
    return change, _standardised(change, float(np.sqrt(n) * error))


def _standardised(mean: float, deviation: float) -> float:
    if abs(mean) <= SAME:
        return 0.0
    if deviation <= abs(mean) / EFFECT_LIMIT:
        return float(np.copysign(EFFECT_LIMIT, mean))
    return mean / deviation


def direction(correlation: float | None, effect: float | None, higher_is_better: bool | None) -> Direction:
    """`blind` for an effect at full strength below half a standard deviation, a direction for a larger one that grows with
    strength, `unclear` where it does not grow steadily, `unknown` where it was not measured.

    >>> direction(-1.0, -2.0, higher_is_better=True), direction(1.0, 0.3, higher_is_better=True)
    ('worse', 'blind')
    """
    if correlation is None or effect is None:
        return "unknown"
    if abs(effect) < NOTICED:
        return "blind"
    if abs(correlation) < CORRELATED or correlation * effect < 0:
        return "unclear"
    if higher_is_better is None:
        return "up" if effect > 0 else "down"
    return "better" if (effect > 0) == higher_is_better else "worse"
