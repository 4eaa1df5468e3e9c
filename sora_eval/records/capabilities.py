"""Which clips a generator takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """Which shapes a generator takes: sides are multiples of `side`, lengths are 1 + a multiple of `stride`."""

    side: int = 1
    stride: int = 1
