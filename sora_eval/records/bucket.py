"""Buckets: resolution, aspect, rate and length of clips, and which of them a number may be pooled over. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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


def unlike_reference(generated: Iterable[Bucket], real: Iterable[Bucket], sensitive: Iterable[Axis]) -> str:
    """How the clips of a set differ from those of its reference set on axes that a metric is sensitive to, or ''.

    The sets are alike if every bucket of either has one in the other that differs from it by no more than 1 % on these axes.

    >>> unlike_reference([Bucket(40, 24, 16, 8.0)], [Bucket(40, 24, 48, 24.0)], AXES)
    'its clips and those of the reference set differ in fps (40x24x16@8 against 40x24x48@24), to which it is not invariant'
    """
    axes, sets = tuple(sensitive), (sorted(set(generated)), sorted(set(real)))
    differ: dict[Axis, tuple[Bucket, Bucket]] = {}

    def off(a: Bucket, b: Bucket) -> tuple[Axis, ...]:
        return tuple(axis for axis in spread((a, b)) if axis in axes)

    for swapped, (ones, others) in enumerate((sets, sets[::-1])):
        for one in ones if others else ():
            nearest = min(others, key=lambda other: len(off(one, other)))
            for axis in off(one, nearest):
                differ.setdefault(axis, (nearest, one) if swapped else (one, nearest))
    return (
        f"its clips and those of the reference set differ in {_differences(differ)}, to which it is not invariant"
        if differ
        else ""
    )


def _differences(differ: Mapping[Axis, tuple[Bucket, Bucket]]) -> str:
    return ", ".join(f"{axis} ({a} against {b})" for axis, (a, b) in differ.items())


def incomparable(pairs: Iterable[tuple[Bucket, Bucket]], sensitive: Iterable[Axis]) -> str:
    """Why clips of the same cases cannot be compared: a pair differs on an axis that the metric is sensitive to, or ''.

    Each of `pairs` holds the buckets of one case in both runs.
    """
    differ: dict[Axis, tuple[Bucket, Bucket]] = {}
    for a, b in pairs:
        for axis in spread((a, b)):
            differ.setdefault(axis, (a, b))
    known = tuple(sensitive)
    named = {axis: pair for axis, pair in differ.items() if axis in known}
    return (
        f"cases differ in {_differences(named)}, to which it is not invariant; score both runs on one [canonical] canvas"
        if named
        else ""
    )
