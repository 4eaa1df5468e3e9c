"""What a test could have seen: Holm's correction, the detectable change, the units that would settle it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

ALPHA = 0.05
POWER = 0.8


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (Holm 1979), in the given order: the family errs at most as often as one test."""
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(v) for v in adjusted]


def permutations_for(tests: int, alpha: float = ALPHA) -> int:
    """So many that the strictest threshold of Holm, `alpha` / tests, lies at the fifth smallest p or above.

    With P permutations p is at least 1 / (P + 1): too few of them, and no gate of many could ever fire.
    """
    return max(1000, math.ceil(5 * tests / alpha)) - 1


def detectable(error: float, allowed: float, alpha: float = ALPHA) -> float:
    """The smallest true change that is both past `allowed` and significant with 80 % power, normal approximation."""
    z = float(stats.norm.ppf(1 - alpha / 2))
    return max(allowed, z * error) + float(stats.norm.ppf(POWER)) * error


def units_needed(
    units: int, error: float, change: float, allowed: float, alpha: float = ALPHA, outside: float = ALPHA
) -> int | None:
    """How many units would decide with 80 % power if `change` is the true one; the error falls with 1/sqrt(units).

    Inside `allowed`, the interval of confidence 1 - `outside` must come to lie inside too; past it, the change must stay
    past and be significant at `alpha`.
    None when the change lies at the limit, where no number decides.
    """
    apart = abs(allowed - change)
    if not (math.isfinite(apart) and apart > 1e-9 * max(abs(change), abs(allowed))):
        return None
    power = float(stats.norm.ppf(POWER))
    if change <= allowed:
        ratio = (float(stats.norm.ppf(1 - outside / 2)) + power) * error / apart
    else:
        ratio = max((float(stats.norm.ppf(1 - alpha / 2)) + power) * error / abs(change), power * error / apart)
    return max(units + 1, math.ceil(units * ratio**2)) if math.isfinite(ratio) else None
