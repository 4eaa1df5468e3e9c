"""When an object moves freely, when something touches it, and the impacts between: what fits and balances are taken from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from sora_eval.metrics.physics.scene import AT_WALL, Bools, Floats, Scene, TrackedObject, runs

LEAST = 5  # frames of a run from which a constant is fitted
SIDE = 3  # frames on each side of an impact
LANDED = 2  # frames in contact between two flights, at most; what stays longer rests
X, Y = 0, 1


@dataclass(frozen=True)
class Motion:
    """Frames (T,) of one object: `there` is it seen, by no other object, and not given to the generator; `wall` and `floor`
    touch it at the ends of x and y (the floor, and without gravity the ceiling)."""

    tracked: TrackedObject
    there: Bools
    wall: Bools
    floor: Bools

    def free(self, axis: int) -> list[tuple[int, int]]:
        """Runs (start, end) in which nothing pushes along an axis: half-open, in frames."""
        ends = self.wall | self.floor if axis == X else self.floor
        return runs(self.there & ~ends)

    def sliding(self) -> list[tuple[int, int]]:
        """Runs on the floor away from the walls."""
        return runs(self.there & self.floor & ~self.wall)

    def path(self, span: tuple[int, int], axis: int) -> tuple[Floats, Floats]:
        """Times (n,) in frames and positions (n,) in px of a run along an axis."""
        return np.arange(*span, dtype=np.float64), self.tracked.track.position[span[0] : span[1], axis]


@dataclass(frozen=True)
class Impact:
    """Frames (half-open) before and after an impact along an axis; `resting` where the object stays where it hit."""

    axis: int
    before: tuple[int, int]
    after: tuple[int, int]
    resting: bool = False


def motions(scene: Scene, given: int = 0) -> list[Motion]:
    """The motion of every object of a scene, in the frames from number `given` on."""
    own = np.arange(scene.num_frames) >= given
    out = []
    for t in scene.objects:
        low, high = t.track.low, t.track.high
        wall = _touches(low[:, X], 0.0, t.diameter) | _touches(scene.width - high[:, X], 0.0, t.diameter)
        floor = _touches((scene.floor_y if scene.gravity else scene.height) - high[:, Y], scene.gravity, t.diameter)
        if not scene.gravity:
            floor |= _touches(low[:, Y], 0.0, t.diameter)
        out.append(Motion(t, t.track.seen & own & ~scene.touching[t.colour], wall, floor))
    return out


def _touches(gap: Floats, pull: float, longest: float) -> Bools:
    """Frames (T,) in which a gap (px) is closed, or will be before the next frame at the present speed and the pull
    (px/frame^2); an unseen object touches nothing, and after a step beyond the `longest` there is no speed to go by."""
    steps = np.diff(gap)
    ahead = np.concatenate([[np.nan], np.where(np.abs(steps) <= longest, gap[1:] + steps - pull, np.nan)])
    out: Bools = (gap < AT_WALL) | (ahead < 0)
    return out


def impacts(motion: Motion, gravity: float) -> Iterator[Impact]:
    """The impacts on floor and walls with `SIDE` frames at least on both sides.

    A fall after which the object stays on the floor is one; of an object that slides with friction, walls are left out, since
    its speed changes on its own.
    """
    for axis in (X, Y):
        ends = motion.wall if axis == X else motion.floor
        side = runs(motion.there & ~ends)
        for (start, end), following in zip_longest(side, side[1:]):
            if end - start < SIDE:
                continue
            contact = _contact(motion.there & ends, end)
            if following is not None and following[0] == contact and contact - end <= LANDED:
                if following[1] - following[0] >= SIDE:
                    yield Impact(axis, (start, end), following)
            elif axis == Y and gravity and contact - end - 1 >= SIDE:
                # In its first frame the contact may lie ahead only.
                yield Impact(axis, (start, end), (end + 1, contact), resting=True)


def _contact(touching: Bools, start: int) -> int:
    """The end of the contact that begins at a frame; the frame itself where none does."""
    end = start
    while end < len(touching) and touching[end]:
        end += 1
    return end
