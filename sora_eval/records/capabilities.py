"""The shapes and rates of clips that a generator can make."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """Widths and heights (px) are multiples of `side`, lengths (frames) are 1 + a multiple of `stride`; `fps` is the one rate
    (frames per second), None: any."""

    side: int = 1
    stride: int = 1
    fps: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("side", self.side), ("stride", self.stride), ("fps", 1.0 if self.fps is None else self.fps)):
            if not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{name} = {value!r:.60}; expected a number above 0")

    def has_rate(self, fps: float) -> bool:
        """Whether clips of this rate can be made.

        >>> Capabilities(fps=30000 / 1001).has_rate(29.97), Capabilities(fps=8).has_rate(24.0), Capabilities().has_rate(24.0)
        (True, False, True)
        """
        return self.fps is None or same_rate(self.fps, fps)


def same_rate(a: float, b: float) -> bool:
    """Whether two rates are one, as 29.97 and 30000/1001 are; 24 and 23.976 are two."""
    return math.isclose(a, b, rel_tol=5e-4)
