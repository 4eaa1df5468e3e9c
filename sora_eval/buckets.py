"""Buckets: which resolution, aspect, rate and length a clip has, and which of them a number may be pooled over. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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


def describe(buckets: Iterable[Bucket], sensitive: Iterable[Axis]) -> dict[str, Any]:
    """Columns of a row of metrics.jsonl: how many clips of which bucket, what the metric is sensitive to, and over what
    of that it was pooled."""
    counts = Counter(buckets)
    moves = tuple(sensitive)
    return {
        "buckets": {str(b): n for b, n in sorted(counts.items())},
        "sensitive_to": list(moves),
        "pooled": [a for a in spread(counts) if a in moves],
    }


def pooling_note(row: Mapping[str, Any]) -> str:
    """What a reader must know of a number that pools unlike clips; empty where nothing is pooled."""
    if not row["pooled"]:
        return ""
    return f"pooled over {len(row['buckets'])} buckets that differ in {', '.join(row['pooled'])}, to which it is not invariant"


def incomparable(base: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why two rows of one metric cannot be compared: their buckets differ in what it is sensitive to. Empty if they can."""
    differ = []
    for axis in AXES:
        if axis in base.get("sensitive_to", ()) or axis in new.get("sensitive_to", ()):
            a, b = ([Bucket.parse(t).on(axis) for t in row.get("buckets", {})] for row in (base, new))
            if a and b and not (_covered(a, b) and _covered(b, a)):
                differ.append(f"{axis} {_values(a)} against {_values(b)}")
    return f"not comparable across buckets: {'; '.join(differ)}; score both on one [canonical] canvas" if differ else ""


def _covered(values: list[float], others: list[float]) -> bool:
    return all(any(max(v, o) <= SAME * min(v, o) for o in others) for v in values)


def _values(values: list[float]) -> str:
    return ", ".join(f"{v:g}" for v in sorted(set(values)))
