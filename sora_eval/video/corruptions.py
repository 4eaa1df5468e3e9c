"""Graded damage to clips, and the trivial clips that a metric must not prefer. Pure numpy and OpenCV.

A corruption has a strength from 0 (the clip itself) to 1. Random numbers do not depend on the strength, so a stronger
corruption extends the weaker one. Corruptions of a scene are rendered again with another truth, by the generator that knows
it; those of a set hit a share of its clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.records.clip import Clip
from sora_eval.records.family import Family

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
CLEAN, TRIVIAL_PREFIX = "clean", "trivial:"  # treatments other than corruptions: none, or a trivial clip by its name

# Full strength, large enough to be seen by anyone; frame sizes enter as the short side.
BLUR_SIGMA = 0.08  # of the short side
NOISE_LEVELS = 60.0  # standard deviation, of 255
FLICKER_LEVELS = 64.0
CAST_LEVELS = 60.0
WARP_REACH = 0.08  # of the short side; the largest displacement
WARP_SCALE = 0.125  # of the short side; how smooth the displacements are
DROPPED = 0.4  # of the inner frames: 17 leave 11, which I3D still takes
SLOWEST = 2.0  # times slower
JPEG_QUALITY = 2  # of 100
SOURCES = 2  # clips that a collapsed set repeats

Frames = npt.NDArray[np.uint8]
Index = npt.NDArray[np.intp]
Kind = Literal["pixel", "time", "scene", "set"]


@dataclass(frozen=True)
class Corruption:
    """One way to damage clips, and the metric families in which at least one metric has to detect it.

    Kinds `pixel` and `time` apply to any clip, `scene` needs a generator that knows the truth, `set` a set of clips. A
    `shared` corruption has no degrees on a single clip: its strength is the share of clips that it hits.
    """

    kind: Kind
    about: str
    caught_by: tuple[Family, ...]
    shared: bool = False


CORRUPTIONS: dict[str, Corruption] = {
    "blur": Corruption("pixel", "Gaussian blur, up to a sigma of 8 % of the short side", ("distribution", "text")),
    "noise": Corruption("pixel", "the same Gaussian noise, up to 60 levels", ("distribution", "temporal")),
    "jpeg_blocks": Corruption("pixel", "towards JPEG of quality 2", ("distribution", "text")),
    "colour_shift": Corruption("pixel", "a warm cast, red up and blue down by up to 60 levels", ("text", "distribution")),
    "flicker": Corruption("pixel", "frames brighter and darker by turns, up to 64 levels", ("temporal",)),
    "local_warp": Corruption("pixel", "smooth displacements, new in each frame, up to 8 % of the short side", ("temporal",)),
    "freeze": Corruption("time", "the last part of the clip stands still", ("temporal",)),
    "frame_drop": Corruption(
        "time", "up to 40 % of the inner frames are missing, and the clip closes up", ("temporal", "physics")
    ),
    "frame_shuffle": Corruption("time", "a share of the frames change places", ("temporal",)),
    "speed_change": Corruption("time", "up to two times slower, frames repeat", ("temporal", "physics")),
    "reversal": Corruption("time", "a share of the clips run backwards", ("physics",), shared=True),
    "object_vanish": Corruption("scene", "an object is missing from the last part of the clip", ("physics",)),
    "teleport": Corruption("scene", "an object jumps up to five times", ("physics",)),
    "gravity_changed": Corruption("scene", "gravity is weaker, down to none", ("physics",)),
    "pass_through_floor": Corruption("scene", "objects sink through the floor, up to 2 px per frame", ("physics",)),
    "caption_swap": Corruption("set", "a share of the clips get the prompt of another", ("text",), shared=True),
    "mode_collapse": Corruption("set", "a share of the clips are copies of two", ("distribution",), shared=True),
}
JUMPS = len(STRENGTHS)  # of a teleported object, at full strength


def generator_of(name: str, key: str, seed: int = 0) -> np.random.Generator:
    """The random generator of corruption `name` on clip `key`, equal for all strengths."""
    return np.random.default_rng([seed, crc32(name.encode()), crc32(key.encode())])


def corrupt(clip: Clip, name: str, strength: float, key: str, seed: int = 0) -> Clip:
    """The clip under a pixel or time corruption of `strength` in [0, 1]. `key` names the clip and seeds its random numbers."""
    if strength == 0:
        return clip
    frames = _FRAMES[name](clip.frames, strength, generator_of(name, key, seed))
    return Clip(np.ascontiguousarray(frames), clip.fps)


def hit(order: Index, strength: float) -> npt.NDArray[np.bool_]:
    """Which of n clips a shared corruption hits, (n,): those in the first round(strength n) places of `order`.

    >>> hit(np.array([2, 0, 1]), 0.3).tolist(), hit(np.array([2, 0, 1]), 0.7).tolist()
    ([False, False, True], [True, False, True])
    """
    out = np.zeros(len(order), bool)
    out[order[: round(strength * len(order))]] = True
    return out


def blur(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Gaussian blur of sigma `strength` * 8 % of the short side."""
    sigma = strength * BLUR_SIGMA * min(frames.shape[1:3])
    return np.stack(
        [_bytes(cv2.GaussianBlur(f.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)) for f in frames]
    )


def noise(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Gaussian noise of standard deviation `strength` * 60 levels."""
    # Frame by frame, since long clips are large; the numbers equal those of one draw.
    return np.stack([_bytes(f + strength * NOISE_LEVELS * rng.standard_normal(f.shape)) for f in frames])


def jpeg_blocks(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Mixture with JPEG of quality 2, in the share `strength`: the damage of JPEG is not monotonic in its quality."""
    out = []
    for f in frames:
        _, data = cv2.imencode(".jpg", f[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        out.append(_mix(f, np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1], strength))
    return np.stack(out)


def colour_shift(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Red plus, blue minus `strength` * 60 levels."""
    return np.stack([_bytes(f + strength * CAST_LEVELS * np.array([1.0, 0.0, -1.0])) for f in frames])


def flicker(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Frames brighter and darker in turn, by `strength` * 32 to 64 levels."""
    sign = np.where(np.arange(len(frames)) % 2, -1.0, 1.0) * rng.choice([-1.0, 1.0])
    offsets = sign * rng.uniform(0.5, 1.0, len(frames)) * FLICKER_LEVELS
    return np.stack([_bytes(f + strength * offset) for f, offset in zip(frames, offsets, strict=True)])


def local_warp(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Smooth random displacements, new in each frame, of at most `strength` * 8 % of the short side."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    out = []
    for f in frames:
        field = cv2.GaussianBlur(rng.standard_normal((height, width, 2)).astype(np.float32), (0, 0), WARP_SCALE * short)
        field *= strength * WARP_REACH * short / max(float(np.abs(field).max()), 1e-12)
        out.append(cv2.remap(f, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    return np.stack(out).astype(np.uint8)


def freeze_map(length: int, strength: float, rng: np.random.Generator) -> Index:
    """Indices that stop at a frame; at full strength at the first one.

    >>> freeze_map(5, 0.5, np.random.default_rng(0)).tolist()
    [0, 1, 2, 2, 2]
    """
    return np.minimum(np.arange(length), round((length - 1) * (1 - strength)))


def drop_map(length: int, strength: float, rng: np.random.Generator) -> Index:
    """Indices of the remaining frames, with `strength` * 40 % of the inner ones dropped."""
    inner = rng.permutation(np.arange(1, max(length - 1, 1)))
    return np.setdiff1d(np.arange(length), inner[: round(strength * DROPPED * len(inner))])


def shuffle_map(length: int, strength: float, rng: np.random.Generator) -> Index:
    """Indices in which the share `strength` of the frames change places in a ring, so that each of them moves."""
    places = rng.permutation(length)[: round(strength * length)]
    index = np.arange(length)
    index[places] = np.roll(places, 1)
    return index


def slow_map(length: int, strength: float, rng: np.random.Generator) -> Index:
    """Indices of playback slower by 1 + `strength`; the length stays.

    >>> slow_map(5, 1.0, np.random.default_rng(0)).tolist()
    [0, 0, 1, 1, 2]
    """
    return np.floor(np.arange(length) / (1 + (SLOWEST - 1) * strength) + 1e-9).astype(np.intp)


def reversal_map(length: int, strength: float, rng: np.random.Generator) -> Index:
    """Indices backwards, whatever the strength."""
    return np.arange(length)[::-1]


TIME_MAPS: dict[str, Callable[[int, float, np.random.Generator], Index]] = {
    "freeze": freeze_map,
    "frame_drop": drop_map,
    "frame_shuffle": shuffle_map,
    "speed_change": slow_map,
    "reversal": reversal_map,
}


def _in_time(name: str) -> Callable[[Frames, float, np.random.Generator], Frames]:
    return lambda frames, strength, rng: frames[TIME_MAPS[name](len(frames), strength, rng)]


_FRAMES: dict[str, Callable[[Frames, float, np.random.Generator], Frames]] = {
    "blur": blur,
    "noise": noise,
    "jpeg_blocks": jpeg_blocks,
    "colour_shift": colour_shift,
    "flicker": flicker,
    "local_warp": local_warp,
    **{name: _in_time(name) for name in TIME_MAPS},
}


def _bytes(values: npt.NDArray[Any]) -> Frames:
    return np.asarray(np.rint(np.clip(values, 0, 255)), np.uint8)


def _mix(a: npt.NDArray[Any], b: npt.NDArray[Any], share: float) -> Frames:
    return _bytes(a + share * (b.astype(np.float32) - a))


TRIVIAL: dict[str, str] = {
    "real": "the clean clips",
    "static": "the first frame, held",
    "black": "nothing at all",
    "noise": "uniform noise, new in each frame",
    "reversed": "backwards",
    "shuffled": "frames in random order",
}


def trivial(clip: Clip, name: str, key: str, seed: int = 0) -> Clip:
    """One of the clips `TRIVIAL`, of the same shape, rate and length. Raises ValueError for another name."""
    rng = generator_of(f"baseline:{name}", key, seed)  # the prefix is part of the seed: another one gives other noise
    frames = clip.frames
    match name:
        case "real":
            return clip
        case "static":
            pixels = np.repeat(frames[:1], len(frames), axis=0)
        case "black":
            pixels = np.zeros_like(frames)
        case "noise":
            pixels = rng.integers(0, 256, frames.shape, dtype=np.uint8)
        case "reversed":
            pixels = np.ascontiguousarray(frames[::-1])
        case "shuffled":
            pixels = frames[rng.permutation(len(frames))]
        case _:
            raise ValueError(f"no trivial clip {name!r}; known: {', '.join(TRIVIAL)}")
    return Clip(pixels, clip.fps)
