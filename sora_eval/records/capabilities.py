"""The shapes of clips that a generator can make."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """Widths and heights (px) are multiples of `side`, lengths (frames) are 1 + a multiple of `stride`."""

    side: int = 1
    stride: int = 1
