"""Buckets: resolution, aspect, rate and length of clips, and which of them a number may be pooled over. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Axis = Literal["resolution", "aspect", "fps", "length"]
AXES: tuple[Axis, ...] = ("resolution", "aspect", "fps", "length")
# Ratio up to which values are equal: 854x480 and 1280x720 are both called 16:9, and 23.976 fps 24.
SAME = 1.01


@dataclass(frozen=True, order=True)
class Bucket:
    """Width and height in px, length in frames and frames per second; clips of one bucket differ in content only.

    The rate is the one that the label shows, of six digits: 29.97 and 30000/1001 are one bucket.
    """

    width: int
    height: int
    frames: int
    fps: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", float(f"{self.fps:g}"))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}@{self.fps:g}"

    @staticmethod
    def parse(text: str) -> Bucket:
        """The inverse of `str`. Raises ValueError for other text.

        >>> str(Bucket.parse("40x24x17@23.976"))
        '40x24x17@23.976'
        """
        shape, _, fps = text.partition("@")
        width, height, frames = map(int, shape.split("x"))
        return Bucket(width, height, frames, float(fps))

    def on(self, axis: Axis) -> float:
        """The value on an axis: resolution in px, aspect as width / height, fps, or length in seconds."""
        return {
            "resolution": float(self.width * self.height),
            "aspect": self.width / self.height,
            "fps": self.fps,
            "length": self.frames / self.fps,
        }[axis]


def spread(buckets: Iterable[Bucket]) -> tuple[Axis, ...]:
    """The axes on which buckets differ by more than 1 %.

    >>> spread([Bucket(40, 24, 16, 8.0), Bucket(80, 48, 32, 16.0)])
    ('resolution', 'fps')
    """
    unique = set(buckets)
    return tuple(a for a in AXES if unique and max(b.on(a) for b in unique) > SAME * min(b.on(a) for b in unique))


@dataclass(frozen=True)
class Pooling:
    """Number of clips by bucket, the axes that a metric is sensitive to, and those of them that its number pools."""

    buckets: dict[str, int]
    sensitive_to: tuple[Axis, ...]
    pooled: tuple[Axis, ...]


def pooling_of(buckets: Iterable[Bucket], sensitive: Iterable[Axis]) -> Pooling:
    """The pooling of a number over clips of these buckets, one bucket per clip."""
    counts = Counter(buckets)
    axes = tuple(sensitive)
    return Pooling({str(b): n for b, n in sorted(counts.items())}, axes, tuple(a for a in spread(counts) if a in axes))


def pooling_note(pooling: Pooling) -> str:
    """The warning on a number that pools clips of different buckets; empty where nothing is pooled."""
    if not pooling.pooled:
        return ""
    axes = ", ".join(pooling.pooled)
    return f"pooled over {len(pooling.buckets)} buckets that differ in {axes}, to which it is not invariant"


def incomparable(pairs: Iterable[tuple[Bucket, Bucket]], sensitive: Iterable[Axis]) -> str:
    """Why clips of the same cases cannot be compared: a pair differs on an axis that the metric is sensitive to, or ''.

    Each of `pairs` holds the buckets of one case in both runs.
    """
    differ: dict[Axis, tuple[Bucket, Bucket]] = {}
    for a, b in pairs:
        for axis in spread((a, b)):
            differ.setdefault(axis, (a, b))
    axes = [f"{axis} ({a} against {b})" for axis, (a, b) in differ.items() if axis in tuple(sensitive)]
    return (
        f"cases differ in {', '.join(axes)}, to which it is not invariant; score both runs on one [canonical] canvas"
        if axes
        else ""
    )
