"""The law of collision, on the tracks of two objects in the frames around a contact."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sora_eval.features.object_tracks import Track
from sora_eval.metrics.base import Score
from sora_eval.metrics.physics.scene import Bools, Floats, Scene, TrackedObject, near, runs, touching

REACH = 3  # frames before and after a contact in which velocities are measured
# Origin of the limits: `sora-eval run world --generator world` and `--generator vae` stay inside them.
MOMENTUM = 0.3  # px/frame, of the pair's centre of mass; the world's slowest motion is 0.75
ENERGY = (0.3, 0.15)  # px^2/frame^2, and of the kinetic energy before
OVERLAP = 1.2  # px; half the blur of a decoded edge


@dataclass(frozen=True)
class Contact:
    """One contact, frames `start` to `end` (half open), and its measures; None where one could not be measured.

    momentum: change of the velocity of the pair's centre of mass without an outer cause, px/frame. energy: gain of mechanical
    energy per unit of mass, px^2/frame^2. restitution: relative speed after over before. overlap: depth to which one object
    hides the other, px.
    """

    start: int
    end: int
    momentum: float | None
    energy: float | None
    energy_limit: float
    restitution: float | None
    overlap: float

    @property
    def obeys(self) -> bool:
        """Whether overlap, momentum and energy are within their limits; what was not measured is."""
        return (
            self.overlap <= OVERLAP
            and (self.momentum is None or self.momentum <= MOMENTUM)
            and (self.energy is None or self.energy <= self.energy_limit)
        )


def collision(scene: Scene) -> Score:
    """Share of (pair, frame) in which no law of collision is broken; without a contact there is no value.

    A contact whose pair changes its momentum with nothing else near, gains energy, or overlaps, breaks the frames from
    `REACH` before to `REACH` after it. A frame in which one of the two is not seen breaks as many around it, since its
    contacts are unknown.
    """
    if len(scene.objects) < 2:
        return Score(None, "one object: there is nothing to collide with")
    whole = np.ones((len(scene.objects) * (len(scene.objects) - 1) // 2, scene.num_frames), bool)
    contacts: list[dict[str, object]] = []
    has_value = False
    for mask, (a, b) in zip(whole, combinations(scene.objects, 2), strict=True):
        unseen = ~(a.track.seen & b.track.seen)
        for start, end in runs(unseen):
            mask[max(start - REACH, 0) : end + REACH] = False
        for start, end in episodes(near(a.track, b.track)):
            contact = measure(scene, a, b, start, end)
            window = slice(max(start - REACH, 0), end + REACH)
            if not contact.obeys or unseen[window].any():
                mask[window] = False
            contacts.append(_details(a, b, contact))
            has_value = True
        has_value |= bool(unseen.any())
    if not has_value:
        return Score(None, "no two objects touch in this clip")
    broken = {f"{a.colour}-{b.colour}": m for m, (a, b) in zip(whole, combinations(scene.objects, 2), strict=True)}
    objects = {pair: [int(i) for i in np.flatnonzero(~m)] for pair, m in broken.items()}
    frames = sorted({i for f in objects.values() for i in f})
    return Score(float(whole.mean()), detail={"broken_frames": frames, "objects": objects, "contacts": contacts})


def _details(a: TrackedObject, b: TrackedObject, c: Contact) -> dict[str, object]:
    def short(value: float | None) -> float | None:
        return None if value is None else round(value, 3)

    return {
        "objects": [a.colour, b.colour],
        "frames": [c.start, c.end - 1],
        "momentum_px_per_frame": short(c.momentum),
        "energy_gain_px2_per_frame2": short(c.energy),
        "restitution": short(c.restitution),
        "overlap_px": short(c.overlap),
    }


def episodes(touch: Bools) -> list[tuple[int, int]]:
    """Contacts in frames (T,), half open; those less than `REACH` frames apart are one, since no velocity is measured between.

    >>> episodes(np.array([1, 1, 0, 0, 1, 0, 0, 0, 1], bool))
    [(0, 5), (8, 9)]
    """
    out: list[tuple[int, int]] = []
    for start, end in runs(touch):
        if out and start - out[-1][1] < REACH:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def measure(scene: Scene, a: TrackedObject, b: TrackedObject, start: int, end: int) -> Contact:
    """The measures of a contact of two objects in frames `start` to `end`.

    With a third object near, or without two frames before and after the contact, only the overlap is measured. Momentum is
    measured along the axes on which no wall or floor is near; energy always, since walls and floor add none.
    """
    overlap = 0.0 if scene.occluder else max(_hidden(t, slice(start, end)) for t in (a, b))
    # Objects that stick together stay in contact: their later frames in it then count as the frames after.
    stop = min(end, start + REACH)
    before, after = slice(max(start - REACH, 0), start), slice(stop, min(stop + REACH, scene.num_frames))
    window = slice(before.start, after.stop)
    others = [t for t in scene.seen if t.colour not in (a.colour, b.colour)]
    alone = not any(touching(t.track, others)[window].any() for t in (a, b))
    if not alone or before.stop - before.start < 2 or after.stop - after.start < 2:
        return Contact(start, end, None, None, 0.0, None, overlap)
    masses = np.array([a.radius**2, b.radius**2])
    masses = masses / masses.sum()
    first, last = (_velocities(a.track, b.track, s) for s in (before, after))  # (steps, 2 objects, 2 axes)
    elapsed = (after.start + after.stop - before.start - before.stop) / 2  # frames between the middles of the two
    change = masses @ (last.mean(0) - first.mean(0)) - np.array([0.0, scene.gravity * elapsed])
    free = np.array([not any(scene.at_wall(t.track, axis)[window].any() for t in (a, b)) for axis in (0, 1)])
    momentum = float(np.abs(change[free]).max()) if free.any() else None
    energies = [_energy(v, masses, (a.track, b.track), s, scene.gravity) for v, s in ((first, before), (last, after))]
    gain = energies[1] - energies[0]
    limit = ENERGY[0] + ENERGY[1] * float(masses @ np.square(first.mean(0)).sum(1)) / 2
    # The last step only: the first may still hold the impact.
    relative = [float(np.linalg.norm(v[0] - v[1])) for v in (first.mean(0), last[-1])]
    restitution = relative[1] / relative[0] if free.all() and relative[0] > MOMENTUM else None
    if not np.isfinite(gain):  # unseen in between: the caller breaks the window for that
        return Contact(start, end, None, None, 0.0, None, overlap)
    return Contact(start, end, momentum, gain, limit, restitution, overlap)


def _velocities(a: Track, b: Track, frames: slice) -> Floats:
    out: Floats = np.diff(np.stack([a.position[frames], b.position[frames]], 1), axis=0)
    return out


def _energy(velocities: Floats, masses: Floats, pair: tuple[Track, Track], frames: slice, gravity: float) -> float:
    """Mechanical energy per unit of mass, mean over the steps. Steps are exact velocities of their middles under gravity."""
    kinetic = np.square(velocities).sum(2) / 2  # (steps, 2)
    heights = np.stack([t.position[frames, 1] for t in pair], 1)
    potential = -gravity * (heights[1:] + heights[:-1]) / 2  # y points down
    return float(((kinetic + potential) @ masses).mean())


def _hidden(tracked: TrackedObject, frames: slice) -> float:
    """Depth to which an object is covered, px: its area below its own upper quartile, over its diameter."""
    area = tracked.track.area
    deficit = np.nanquantile(area, 0.75) - area[frames]
    return float(np.nanmax(deficit, initial=0.0)) / tracked.diameter
