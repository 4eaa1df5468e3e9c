"""Numbers as text."""

from __future__ import annotations

from typing import Any

import pandas as pd


def number(value: Any, digits: int = 4) -> str:
    """Significant digits, four by default, or a dash for no value.

    >>> number(3.14159), number(123456), number(None), number(0.00055789, 3)
    ('3.142', '1.23e+05', '-', '0.000558')
    """
    if value is None or pd.isna(value):
        return "-"
    if value == 0:
        return "0"
    return f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1e5 else f"{value:.2e}"


def interval(low: Any, high: Any, digits: int = 4) -> str:
    """Both ends of an interval, or a dash for none.

    >>> interval(0.25, 1)
    '0.25 .. 1'
    """
    return "-" if low is None or pd.isna(low) else f"{number(low, digits)} .. {number(high, digits)}"


def signed(value: float | None, digits: int = 4) -> str:
    """A number with its sign.

    >>> signed(0.5), signed(-0.5)
    ('+0.5', '-0.5')
    """
    return "-" if value is None else f"{'+' if value > 0 else ''}{number(value, digits)}"
