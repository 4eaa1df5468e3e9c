"""Buckets: which resolution, aspect, rate and length a clip has, and which of them a number may be pooled over. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Axis = Literal["resolution", "aspect", "fps", "length"]
AXES: tuple[Axis, ...] = ("resolution", "aspect", "fps", "length")
# 854x480 and 1280x720 are both called 16:9, and 23.976 fps 24: sides are whole, and rates have a history.
SAME = 1.01


@dataclass(frozen=True, order=True)
class Bucket:
    """Shape and rate of a clip; clips of one bucket differ in content only."""

    width: int
    height: int
    frames: int
    fps: float

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}@{self.fps:g}"

    @staticmethod
    def parse(text: str) -> Bucket:
        """The inverse of `str`."""
        shape, _, fps = text.partition("@")
        width, height, frames = map(int, shape.split("x"))
        return Bucket(width, height, frames, float(fps))

    def on(self, axis: Axis) -> float:
        """Resolution in px, aspect as width / height, fps, or length in seconds."""
        return {
            "resolution": float(self.width * self.height),
            "aspect": self.width / self.height,
            "fps": self.fps,
            "length": self.frames / self.fps,
        }[axis]


def spread(buckets: Iterable[Bucket]) -> tuple[Axis, ...]:
    """The axes on which buckets differ by more than 1 %."""
    kinds = list(buckets)
    return tuple(a for a in AXES if kinds and max(b.on(a) for b in kinds) > SAME * min(b.on(a) for b in kinds))


@dataclass(frozen=True)
class Pooling:
    """Clips by bucket, what the metric is sensitive to, and over what of that its number was pooled."""

    buckets: dict[str, int]
    sensitive_to: tuple[Axis, ...]
    pooled: tuple[Axis, ...]


def pooling_of(buckets: Iterable[Bucket], sensitive: Iterable[Axis]) -> Pooling:
    """What a number over clips of these buckets pools."""
    counts = Counter(buckets)
    moves = tuple(sensitive)
    return Pooling({str(b): n for b, n in sorted(counts.items())}, moves, tuple(a for a in spread(counts) if a in moves))


def pooling_note(pooling: Pooling) -> str:
    """What a reader must know of a number that pools unlike clips; empty where nothing is pooled."""
    if not pooling.pooled:
        return ""
    axes = ", ".join(pooling.pooled)
    return f"pooled over {len(pooling.buckets)} buckets that differ in {axes}, to which it is not invariant"


def incomparable(pairs: Iterable[tuple[Bucket, Bucket]], sensitive: Iterable[Axis]) -> str:
    """Why clips that answer the same cases cannot be compared: some pair differs in what the metric is sensitive to.

    `pairs` are the buckets of one case in both runs. Empty if they can be compared.
    """
    differ: dict[Axis, tuple[Bucket, Bucket]] = {}
    for a, b in pairs:
        for axis in spread((a, b)):
            differ.setdefault(axis, (a, b))
    found = [f"{axis} ({a} against {b})" for axis, (a, b) in differ.items() if axis in tuple(sensitive)]
    return (
        f"cases differ in {', '.join(found)}, to which it is not invariant; score both runs on one [canonical] canvas"
        if found
        else ""
    )
