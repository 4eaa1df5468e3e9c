"""Symmetries of the world: a mirror and the six permutations of colour channels, so one labelled clip stands for twelve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from reference_model.world.captions import Description, ObjectDescription
from reference_model.world.facts import COLOURS

_MIRROR = {"left": "right", "right": "left"}


def mirror(description: Description) -> Description:
    """The description of a clip after a flip from left to right.

    >>> from reference_model.world.captions import parse
    >>> mirror(parse("a red circle at the top left moves slowly right")).text()
    'a red circle at the top right moves slowly left'
    """

    def turn(o: ObjectDescription) -> ObjectDescription:
        place = " ".join(_MIRROR.get(word, word) for word in o.place.split()) if o.place else None
        return replace(o, place=place, direction=_MIRROR.get(o.direction, o.direction) if o.direction else None)

    return replace(description, objects=tuple(turn(o) for o in description.objects))


def recolour(description: Description, channels: tuple[int, int, int]) -> Description:
    """The description of a clip whose channel i was channel `channels[i]`, its objects in the order of the palette."""
    names = {rgb: name for name, rgb in COLOURS.items()}
    new = {name: names[(rgb[channels[0]], rgb[channels[1]], rgb[channels[2]])] for name, rgb in COLOURS.items()}
    objects = sorted(
        (replace(o, colour=new[o.colour]) for o in description.objects), key=lambda o: list(COLOURS).index(o.colour)
    )
    return replace(description, objects=tuple(objects), wall=new[description.wall] if description.wall else None)


def random_twin(
    frames: npt.NDArray[np.uint8], description: Description, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Description]:
    """A random one of the twelve images of a clip (T, H, W, 3), with its description."""
    red, green, blue = (int(c) for c in rng.permutation(3))
    frames, description = frames[..., [red, green, blue]], recolour(description, (red, green, blue))
    return (frames[:, :, ::-1], mirror(description)) if rng.random() < 0.5 else (frames, description)
