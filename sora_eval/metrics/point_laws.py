"""Laws of motion for any video, without facts: proxies, computed from tracks of points.

They know neither objects nor forces. Blur may end a track, and two neighbours may belong to two objects; real clips are
therefore below 1, and only differences between clips of the same kind are meaningful.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sora_eval.features.point_tracks import SEGMENT, PointTracks
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.util.errors import Undefined

# All lengths are shares of the short side, all times frames.
LEAST = 4  # points; fewer have no neighbours to be compared with
EDGE = 0.06  # from the border: there the window that is followed leaves the picture
COVER = 0.08  # between a lost point's expected place and another one that came nearer
TELEPORT = 0.05  # between a point's step and the median step of its neighbours
STRETCH = (0.1, 0.01)  # of the distance to a neighbour, and in any case
JERK = (0.02, 0.5)  # change of a step in any case, and of the step before
NEIGHBOURS = 6
MANY = 0.2  # of the tracked points: frames in which more of them break a law are reported as broken
LAWS = ("permanence", "continuity", "rigidity", "smoothness")

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class PointLaws(ClipMetric):
    """Shares of (point, frame) pairs that obey, in [0, 1], higher is better; proxies, see above.

    permanence: the point is still tracked; one that leaves the picture, or whose place another point reaches, is explained
    and no longer counts. continuity: its step is within 5 % of the short side of the median step of its six neighbours.
    rigidity: at least half of its neighbours keep their distance within 10 %. smoothness: its step changes by at most 2 % of
    the short side or half of itself. A loss that nothing explains breaks all four until the segment of nine frames ends. A
    still picture has 1 everywhere, so read them beside `dynamic_degree`. They change with fps.
    """

    outputs = tuple(Output(f"point_laws.{law}", "share", True, "0 to 1", (0.0, 1.0)) for law in LAWS)
    extractor = PointTracks()
    signature = (
        f"point_laws|{PointTracks.signature}|edge:{EDGE:g}|cover:{COVER:g}|teleport:{TELEPORT:g}|stretch:{STRETCH}|jerk:{JERK}"
        f"|neighbours:{NEIGHBOURS}"
    )

    def score(self, view: ClipView) -> Mapping[str, Score]:
        places = view.features(self.extractor)
        short = min(view.clip.width, view.clip.height)
        size = np.array([view.clip.width, view.clip.height]) / short
        return {f"point_laws.{law}": score for law, score in point_laws(places, size, view.clip.num_frames).items()}


@dataclass(frozen=True)
class _Step:
    """One frame of a segment: by law the points (points,) that count in it, and those that obey."""

    frame: int
    counts: dict[str, Bools]
    obeys: dict[str, Bools]


def point_laws(places: Floats, size: Floats, num_frames: int) -> dict[str, Score]:
    """The four laws of tracks (segments, points, SEGMENT, 2) in a picture of `size` (2,), both in shares of its short side.

    Raises Undefined with fewer than four points.
    """
    points = int(np.isfinite(places[:, :, 0, 0]).sum(1).max())
    if points < LEAST:
        raise Undefined(f"{points} corners to follow; laws of points need at least {LEAST}: there is too little texture")
    steps = []
    for number, segment in enumerate(places):
        start = number * (SEGMENT - 1)
        length = min(SEGMENT, num_frames - start)
        steps += _judge(segment[np.isfinite(segment[:, 0, 0]), :length], start, size)
    out = {}
    for law in LAWS:
        total = sum(int(s.counts[law].sum()) for s in steps)
        obeying = sum(int((s.obeys[law] & s.counts[law]).sum()) for s in steps)
        broken = [s.frame for s in steps if (s.counts[law] & ~s.obeys[law]).sum() > MANY * max(s.counts[law].sum(), 1)]
        detail = {"broken_frames": broken, "points": points}
        out[law] = Score(obeying / total, detail=detail) if total else Score(None, "no point could be judged", detail)
    return out


def _judge(places: Floats, start: int, size: Floats) -> list[_Step]:
    """Every frame but the first of one segment (points, frames, 2)."""
    count, frames = places.shape[:2]
    alive = np.isfinite(places[..., 0])
    excused = np.zeros(count, bool)  # lost for a reason that can be seen
    broken = np.zeros(count, bool)  # lost without a visible reason
    out = []
    for t in range(1, frames):
        ends = alive[:, t - 1] & ~alive[:, t]
        expected = places[:, t - 1] + (places[:, t - 1] - places[:, t - 2] if t > 1 else 0.0)
        distances = _distances(places[:, t - 1], places[:, t - 1])
        explained = ends & _leaves(expected, size)
        explained[ends] |= _covered(distances[ends], _distances(expected[ends], places[:, t]))
        excused |= explained
        broken |= ends & ~explained
        counting = ~excused
        here = alive[:, t]
        step = places[:, t] - places[:, t - 1]
        near = _neighbours(distances, here)
        obeys = {
            "permanence": ~broken,
            "continuity": here & _together(step, near),
            "rigidity": here & _rigid(places[:, t - 1], places[:, t], near),
            "smoothness": here,
        }
        counts = dict.fromkeys(LAWS, counting)
        if t == 1:  # no step before it
            counts = {**counts, "smoothness": counting & broken}
        else:
            before = places[:, t - 1] - places[:, t - 2]
            obeys["smoothness"] = here & (_lengths(step - before) <= np.maximum(JERK[0], JERK[1] * _lengths(before)))
        out.append(_Step(start + t, counts, obeys))
    return out


def _leaves(expected: Floats, size: Floats) -> Bools:
    """Where a point moves on to the border or past it."""
    return np.asarray(((expected < EDGE) | (expected > size - EDGE)).any(1), bool)


def _covered(before: Floats, after: Floats) -> Bools:
    """Where another point that is still followed came near a point's expected place, and nearer than it was: distances
    (points, others) to the last place and to the expected one."""
    return np.asarray(((after < COVER) & (after < 0.8 * before)).any(1), bool)


def _neighbours(distances: Floats, here: Bools) -> npt.NDArray[np.int64]:
    """(points, NEIGHBOURS) nearest others that are followed into this frame, in any order; of equally near ones the first.

    Sorting whole rows gives the same, several times slower.
    """
    far = np.where(here & np.isfinite(distances), distances, 1e9)
    np.fill_diagonal(far, 1e9)
    number = min(NEIGHBOURS, max(int(here.sum()) - 1, 1))
    last = np.partition(far, number - 1, axis=1)[:, number - 1 : number]
    nearer, equal = far < last, far == last
    near = nearer | (equal & (equal.cumsum(1) <= number - nearer.sum(1, keepdims=True)))
    return np.nonzero(near)[1].reshape(-1, number)


def _distances(a: Floats, b: Floats) -> Floats:
    """From each place of `a` (n, 2) to each of `b` (m, 2): (n, m)."""
    return np.asarray(np.sqrt(np.square(a[:, :1] - b[:, 0]) + np.square(a[:, 1:] - b[:, 1])), np.float64)


def _lengths(vectors: Floats) -> Floats:
    """Lengths of vectors (..., 2): numpy's norm over the last axis gives the same bits several times slower."""
    return np.asarray(np.sqrt(np.square(vectors[..., 0]) + np.square(vectors[..., 1])), np.float64)


def _together(step: Floats, near: npt.NDArray[np.int64]) -> Bools:
    with np.errstate(invalid="ignore"):
        middle = np.median(step[near], axis=1)
        return np.asarray(_lengths(step - middle) <= TELEPORT, bool)


def _rigid(last: Floats, now: Floats, near: npt.NDArray[np.int64]) -> Bools:
    before = _lengths(last[near] - last[:, None])  # (points, neighbours)
    after = _lengths(now[near] - now[:, None])
    rigid = np.abs(after - before) <= np.maximum(STRETCH[0] * before, STRETCH[1])
    return np.asarray(2 * rigid.sum(1) >= near.shape[1], bool)
