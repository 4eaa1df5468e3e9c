"""Power of a test: Holm's correction, the detectable change, the number of units that a decision needs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

ALPHA = 0.05
POWER = 0.8


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (Holm 1979), in the given order: the family errs at most as often as one test.

    >>> holm([0.01, 0.04, 0.03])  # x 3, x 1, x 2, then no smaller than the one before
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(v) for v in adjusted]


def permutations_for(tests: int, alpha: float = ALPHA) -> int:
    """Number of permutations that puts Holm's strictest threshold, `alpha` / tests, at the fifth smallest p or above.

    With P permutations p is at least 1 / (P + 1): with too few, no test of many can be significant.

    >>> permutations_for(1), permutations_for(20)
    (999, 1999)
    """
    return max(1000, math.ceil(5 * tests / alpha)) - 1


def detectable(error: float, allowed: float, alpha: float = ALPHA) -> float:
    """The smallest true change that is both past `allowed` and significant with 80 % power, normal approximation.

    `error` is the standard error of the change, in the unit of `allowed` and of the result.

    >>> round(detectable(1.0, 0.0), 3), round(detectable(1.0, 5.0), 3)  # z(0.975) + z(0.8); 5 + z(0.8)
    (2.802, 5.842)
    """
    z = float(stats.norm.ppf(1 - alpha / 2))
    return max(allowed, z * error) + float(stats.norm.ppf(POWER)) * error


def units_needed(
    units: int, error: float, change: float, allowed: float, alpha: float = ALPHA, outside: float = ALPHA
) -> int | None:
    """Number of units that decides with 80 % power if `change` is the true one; the error falls with 1/sqrt(units).

    Inside `allowed`, the one-sided bound at level `outside` must lie inside too; past it, the change must stay past and be
    significant at `alpha`. None when the change lies at the limit, where no number decides.

    >>> units_needed(8, error=1.0, change=0.0, allowed=1.0)  # ceil(8 x 2.486^2)
    50
    """
    margin = abs(allowed - change)
    if not (math.isfinite(margin) and margin > 1e-9 * max(abs(change), abs(allowed))):
        return None
    power = float(stats.norm.ppf(POWER))
    if change <= allowed:
        ratio = (float(stats.norm.ppf(1 - outside)) + power) * error / margin
    else:
        ratio = max((float(stats.norm.ppf(1 - alpha / 2)) + power) * error / abs(change), power * error / margin)
    return max(units + 1, math.ceil(units * ratio**2)) if math.isfinite(ratio) else None
