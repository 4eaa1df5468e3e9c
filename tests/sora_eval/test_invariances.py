"""What every metric declares of resolution, aspect, fps and length is true on clips of the world, and no more is.

A score moves when the mean change of its clips' scores exceeds 5 % of their spread (the standard deviation between clips);
vectors of set metrics likewise, by distance.
"""

from functools import cache

import numpy as np

from reference_model.world import ObjectFacts
from sora_eval.metrics import REGISTRY
from sora_eval.metrics.base import ClipMetric
from tests.conftest import view_of, world_clip

MOVED = 0.05
FAST = [n for n, i in REGISTRY.items() if i.kind == "per-clip" and not i.pixels]
SETS = [n for n, i in REGISTRY.items() if i.kind == "set"]


def doubled(frames, fps):
    return frames.repeat(2, 1).repeat(2, 2), fps


def letterboxed(frames, fps):
    side = frames.shape[2] // 2
    return np.pad(frames, ((0, 0), (0, 0), (side, side), (0, 0))), fps


def halved_rate(frames, fps):
    return frames[::2], fps / 2


def first_half(frames, fps):
    return frames[: len(frames) // 2], fps


CHANGES = {"resolution": doubled, "aspect": letterboxed, "fps": halved_rate, "length": first_half}


@cache
def views(change=None):
    """Clips of the world, some of them damaged so that scores differ, as they are or changed in one way."""
    motions = [("red", "falls"), ("blue", "moves"), ("green", "bounces"), ("yellow", "rests"), ("magenta", "slides")]
    out = []
    for i, (colour, motion) in enumerate(motions):
        moving = {"direction": "right", "speed": "quickly"} if motion in ("moves", "slides") else {}
        clip = world_clip(ObjectFacts(colour, "circle", motion, **moving), seed=i, size=(32, 32), frames=24)
        frames = clip.frames
        if i % 2:
            noise = np.random.default_rng(i).integers(-20 * i, 20 * i + 1, frames.shape)
            frames = (frames + noise).clip(0, 255).astype(np.uint8)
        frames, fps = CHANGES[change](frames, 8.0) if change else (frames, 8.0)
        out.append(view_of(frames, clip.scene.facts, f"a {colour} circle {motion}", fps))
    return out


def scores(metric, name, change=None):
    if isinstance(metric, ClipMetric):
        metric.prepare([v.case.prompt for v in views()])
        given = [metric.score(v) for v in views(change)]
        return np.array([[g[o.name].value for o in metric.outputs] for g in given], float)
    return np.stack([metric.features(v) for v in views(change)])


def moved(metric, name, change):
    """Mean change of the scores in units of their spread between clips; the largest of a metric's outputs."""
    before, after = scores(metric, name), scores(metric, name, change)
    if isinstance(metric, ClipMetric):
        spread, shift = before.std(0), np.abs(after - before).mean(0)
        return max(s / d if d else float(s > 0) for s, d in zip(shift, spread, strict=True))
    return np.linalg.norm(after - before, axis=1).mean() / np.linalg.norm(before - before.mean(0), axis=1).mean()
