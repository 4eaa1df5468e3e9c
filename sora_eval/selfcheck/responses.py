"""How a metric responds to graded damage, and whether that is what it claims. Pure numpy and scipy."""

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
    """
    change = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    change = change[np.isfinite(change)]
    if len(change) < LEAST_PAIRS:
        return None
    return _standardised(float(change.mean()), float(change.std(ddof=1)))


def set_effect(clean: Index, damaged: Index, value: Callable[[Index], float], least: int) -> tuple[float, float | None]:
    """(change, effect) of the value of a set whose rows `clean[i]` and `damaged[i]` are the same clip.

    The standard deviation comes from the paired jackknife: sqrt(n) times its standard error, which for a mean is the standard
    deviation of the paired changes; so effects of set metrics read as those of per-clip ones. `least` rows make a value.
    """
    n, change = len(clean), value(damaged) - value(clean)
    if n < LEAST_PAIRS or n - 1 < least:
        return change, None
    keep = ~np.eye(n, dtype=bool)
    left_out = np.array([value(damaged[k]) - value(clean[k]) for k in keep])
    error = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
    return change, _standardised(change, float(np.sqrt(n) * error))


def _standardised(mean: float, deviation: float) -> float:
    if abs(mean) <= SAME:
        return 0.0
    if deviation <= abs(mean) / EFFECT_LIMIT:
        return float(np.copysign(EFFECT_LIMIT, mean))
    return mean / deviation


def direction(correlation: float | None, effect: float | None, higher_is_better: bool | None) -> Direction:
    """What a metric did: `blind` where the change at full strength is within half a standard deviation, a direction where it
    is not and grows with strength, `unclear` where it does not grow steadily, `unknown` where it was not measured."""
    if correlation is None or effect is None:
        return "unknown"
    if abs(effect) < NOTICED:
        return "blind"
    if abs(correlation) < CORRELATED or correlation * effect < 0:
        return "unclear"
    if higher_is_better is None:
        return "up" if effect > 0 else "down"
    return "better" if (effect > 0) == higher_is_better else "worse"
