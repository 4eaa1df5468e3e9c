"""The law of collision: what two objects do when they meet, from their tracks in the frames around a contact."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sora_eval.features.object_tracks import Track
from sora_eval.metrics.base import Score
from sora_eval.metrics.physics.scene import Bools, Floats, Scene, TrackedObject, near, runs, touching

REACH = 3  # frames before and after a contact that say how fast the two were
# Origin of the limits: `sora-eval run world --generator world` and `--generator vae` stay inside them.
MOMENTUM = 0.3  # px/frame, of the pair's centre of mass; the world's slowest motion is 0.75
ENERGY = (0.3, 0.15)  # px^2/frame^2, and of the kinetic energy before
OVERLAP = 1.2  # px; half the blur of a decoded edge


@dataclass(frozen=True)
class Contact:
    """One contact, frames `start` to `end` (half open), and what was measured; None where it could not be.

    momentum: change of the velocity of the pair's centre of mass that nothing outside explains, px/frame. energy: mechanical
    energy gained a unit of mass, px^2/frame^2. restitution: relative speed after over before. overlap: how deep one object
    is hidden by the other, px.
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
        return (
            self.overlap <= OVERLAP
            and (self.momentum is None or self.momentum <= MOMENTUM)
            and (self.energy is None or self.energy <= self.energy_limit)
        )


def collision(scene: Scene) -> Score:
    """Share of (pair, frame) in which no law of collision is broken; without a contact there is no value.

    A contact whose pair changes its momentum though nothing else is near, gains energy, or overlaps, breaks the frames
    from `REACH` before to `REACH` after it. A frame in which one of the two is not seen breaks as many around it: what
    happened there cannot be known.
    """
    if len(scene.objects) < 2:
        return Score(None, "one object: there is nothing to collide with")
    whole = np.ones((len(scene.objects) * (len(scene.objects) - 1) // 2, scene.num_frames), bool)
    contacts: list[dict[str, object]] = []
    judged = False
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
            judged = True
        judged |= bool(unseen.any())
    if not judged:
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
    """Contacts, half open; two that are at most `REACH` frames apart are one: between them no velocity can be measured."""
    out: list[tuple[int, int]] = []
    for start, end in runs(touch):
        if out and start - out[-1][1] < REACH:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def measure(scene: Scene, a: TrackedObject, b: TrackedObject, start: int, end: int) -> Contact:
    """What a contact of two objects in frames `start` to `end` did to them.

    Nothing but the overlap is measured when a third object is near, or when the contact has not two frames before and
    after it. Momentum is measured along the axes on which no wall or floor is near; energy always, because walls and
    floor give none.
    """
    overlap = 0.0 if scene.occluder else max(_hidden(t, slice(start, end)) for t in (a, b))
    # Two that stick together stay in contact; what they do once they have met is then what comes after.
    met = min(end, start + REACH)
    before, after = slice(max(start - REACH, 0), start), slice(met, min(met + REACH, scene.num_frames))
    window = slice(before.start, after.stop)
    others = [t for t in scene.seen if t.colour not in (a.colour, b.colour)]
    alone = not any(touching(t.track, others)[window].any() for t in (a, b))
    if not alone or before.stop - before.start < 2 or after.stop - after.start < 2:
        return Contact(start, end, None, None, 0.0, None, overlap)
    masses = np.array([a.radius**2, b.radius**2])
    masses = masses / masses.sum()
    first, last = (_velocities(a.track, b.track, s) for s in (before, after))  # (steps, 2 objects, 2 axes)
    passed = (after.start + after.stop - before.start - before.stop) / 2  # frames between the middles of the two
    change = masses @ (last.mean(0) - first.mean(0)) - np.array([0.0, scene.gravity * passed])
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
    """How deep an object is covered, px: the area that it lacks against its own upper quartile, by its diameter."""
    area = tracked.track.area
    lost = np.nanquantile(area, 0.75) - area[frames]
    return float(np.nanmax(lost, initial=0.0)) / tracked.diameter
