"""Limits of several numbers that hold together. Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.stats.intervals import Array


def joint_quantile(values: npt.ArrayLike, share: float, among: npt.ArrayLike | None = None) -> tuple[Array, float]:
    """Limits (m,) that at least a `share` (0 to 1) of draws `values` (n, m) keep in every column, and their common level.

    Each limit is the quantile of its column at one level, the lowest at which that share of the draws lies at or below all
    limits: no column is tighter than another for its noise. `among` (n,) says which draws keep other limits too: only these
    count. Raises ValueError if they are fewer than the share.

    >>> limits, level = joint_quantile([[1, 40], [2, 30], [3, 20], [4, 10]], 0.5)  # 2 of 4 keep both
    >>> limits.tolist(), level
    ([3.0, 30.0], 0.75)
    """
    array = np.asarray(values, np.float64)
    # A draw keeps the limits at rank r where each of its values has at most that rank among those of its column.
    worst = stats.rankdata(array, "min", axis=0).max(1)
    counted = np.sort(worst if among is None else worst[np.asarray(among, bool)])
    needed = max(math.ceil(share * len(array) - 1e-9), 1)
    if len(counted) < needed:
        raise ValueError(f"{len(counted)} of {len(array)} draws keep the other limits; {needed} are needed")
    rank = int(counted[needed - 1])
    return np.sort(array, 0)[rank - 1], rank / len(array)
