"""The growth of cost with tokens. Pure: numpy, scipy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Cost:
    """Seconds = a + b n + c n^2 for n tokens: the fixed cost of a call, the cost per token and the cost per pair.

    `error_percent` is the largest relative error of the fit.
    """

    a: float
    b: float
    c: float
    error_percent: float

    def seconds(self, tokens: float) -> float:
        """The seconds of the fit for a number of tokens."""
        return self.a + self.b * tokens + self.c * tokens**2


def cost_of(tokens: Sequence[float], seconds: Sequence[float]) -> Cost:
    """Least squares of the relative errors, no coefficient below 0 (a negative cost is no cost).

    Relative, since absolute errors would let the largest clips decide. Raises ValueError for fewer than three numbers of
    tokens.

    >>> cost = cost_of([1, 2, 3, 4], [3, 6, 11, 18])  # 2 + n^2
    >>> round(cost.a, 6), round(cost.b, 6), round(cost.c, 6)
    (2.0, 0.0, 1.0)
    """
    n, s = np.asarray(tokens, float), np.asarray(seconds, float)
    if len(set(n.tolist())) < 3:
        raise ValueError(f"a curve of three coefficients needs three numbers of tokens, found {len(set(n.tolist()))}")
    scale = np.array([1.0, n.max(), n.max() ** 2])
    columns = np.stack([np.ones_like(n), n, n**2], 1) / scale
    coefficients, _ = nnls(columns / s[:, None], np.ones_like(s))
    a, b, c = (float(v) for v in coefficients / scale)
    error = np.abs(columns @ coefficients / s - 1).max()
    return Cost(a, b, c, float(100 * error))


def lead_of_attention(cost: Cost) -> float | None:
    """Tokens from which the cost of pairs exceeds that of tokens, b / c; None where c is 0."""
    return cost.b / cost.c if cost.c > 0 else None
