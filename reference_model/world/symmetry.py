"""The world looks the same in a mirror and when primaries change places, so one labelled clip stands for twelve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from reference_model.world.captions import Described, Description
from reference_model.world.facts import COLOURS

_MIRROR = {"left": "right", "right": "left"}


def mirrored(told: Description) -> Description:
    """What is told of a clip turned left to right."""

    def turn(o: Described) -> Described:
        place = " ".join(_MIRROR.get(word, word) for word in o.place.split()) if o.place else None
        return replace(o, place=place, direction=_MIRROR.get(o.direction, o.direction) if o.direction else None)

    return replace(told, objects=tuple(turn(o) for o in told.objects))


def recoloured(told: Description, channels: tuple[int, int, int]) -> Description:
    """What is told of a clip whose channel i was channel `channels[i]`; objects stay in the order of the palette."""
    names = {rgb: name for name, rgb in COLOURS.items()}
    new = {name: names[(rgb[channels[0]], rgb[channels[1]], rgb[channels[2]])] for name, rgb in COLOURS.items()}
    objects = sorted((replace(o, colour=new[o.colour]) for o in told.objects), key=lambda o: list(COLOURS).index(o.colour))
    return replace(told, objects=tuple(objects), wall=new[told.wall] if told.wall else None)


def random_twin(
    frames: npt.NDArray[np.uint8], told: Description, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Description]:
    """One of the twelve clips (T, H, W, 3) that a clip stands for, with what is told of it."""
    red, green, blue = (int(c) for c in rng.permutation(3))
    frames, told = frames[..., [red, green, blue]], recoloured(told, (red, green, blue))
    return (frames[:, :, ::-1], mirrored(told)) if rng.random() < 0.5 else (frames, told)
