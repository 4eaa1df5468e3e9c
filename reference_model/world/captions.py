"""The grammar in both directions: facts to a description to words, from short to dense, and words to a description."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from reference_model.world.facts import BACKGROUNDS, COLOURS, DIRECTIONS, SHAPES, SPEEDS, Facts
from reference_model.world.physics import Event
from reference_model.world.scene import Scene

LEVELS = ("short", "medium", "dense")
MAX_WORDS = 46  # with its two marks a caption fits the 48 tokens of the text encoder
_OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "center", "right")

_GRAMMAR_WORDS = [
    "a",
    "the",
    "and",
    "with",
    "on",
    "in",
    "at",
    "to",
    "of",
    "behind",
    ",",
    ".",
    "it",
    "they",
    "bar",
    "scene",
    "floor",
    "wall",
    "background",
    "hits",
    "collide",
    "floats",
    "still",
    "moves",
    "falls",
    "bounces",
    "slides",
    "rests",
    "is",
    "lands",
]
WORDS: tuple[str, ...] = tuple(
    dict.fromkeys([*_GRAMMAR_WORDS, *COLOURS, *BACKGROUNDS, *SHAPES, *SPEEDS, *DIRECTIONS, *_ROWS, *_COLUMNS])
)

Slot = tuple[str, ...]


@dataclass(frozen=True)
class ObjectDescription:
    """What words state of one object; None where they state nothing."""

    colour: str
    shape: str
    motion: str | None = None
    direction: str | None = None
    speed: str | None = None
    place: str | None = None  # at the first frame, as "top left"

    def text(self) -> str:
        """The words of one object.

        >>> ObjectDescription("red", "circle", "moves", "left", "slowly").text()
        'a red circle moves slowly left'
        """
        words = f"a {self.colour} {self.shape}" + (f" at the {self.place}" if self.place else "")
        return " ".join([words, *([self._motion_text()] if self.motion else [])])

    def _motion_text(self) -> str:
        back = _OPPOSITE.get(self.direction or "")
        return {
            "floats": "floats still",
            "moves": f"moves {self.speed} {self.direction}",
            "slides": f"slides {self.speed} {self.direction}",
            "rests": "rests on the floor",
            "bounces": "falls and bounces",
            "falls": "falls",
            "descends": f"slides down a bar to the {self.direction}",
            "swings": f"on a bar moves {self.direction} and {back}",
            "oscillates": f"on a bar moves {self.direction} and {back}",
        }[self.motion or ""]


@dataclass(frozen=True)
class Description:
    """What words state of a clip. `wall` is the colour of the first object that hits a wall."""

    objects: tuple[ObjectDescription, ...]
    background: str | None = None
    bar: bool = False
    wall: str | None = None
    collision: bool = False

    def at(self, level: str, *, still: bool = False) -> Description:
        """The description at a level of detail, one of `LEVELS`.

        `short` keeps colour, shape and motion; `medium` adds background and bar; `dense` keeps the place of each object
        at the first frame and the contacts too. A `still` picture shows no motion, so its description has none.
        """
        objects = tuple(replace(o, place=o.place if level == "dense" else None) for o in self.objects)
        if still:
            objects = tuple(replace(o, motion=None, direction=None, speed=None) for o in objects)
        out = replace(self, objects=objects)
        if level == "short":
            out = replace(out, background=None, bar=False)
        return replace(out, wall=None, collision=False) if level != "dense" or still else out

    def text(self) -> str:
        """The words. A sentence beyond the length of the text encoder is left out."""
        parts = [o.text() for o in self.objects]
        text = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
        text += f" on a {self.background} background" if self.background else ""
        text += " behind a bar" if self.bar else ""
        shapes = {o.colour: o.shape for o in self.objects}
        sentences = [f"the {self.wall} {shapes[self.wall]} hits the wall"] if self.wall in shapes else []
        for sentence in [*sentences, *(["they collide"] if self.collision else [])]:
            if len(text.replace(",", " ,").split()) + len(sentence.split()) + 1 <= MAX_WORDS:
                text += f" . {sentence}"
        return text

    def slots(self) -> frozenset[Slot]:
        """The facts of the description, one tuple each; captions are compared by them.

        >>> sorted(parse("a red circle falls").slots())
        [('colour', 'red'), ('count', '1'), ('red', 'motion', 'falls'), ('red', 'shape', 'circle')]
        """
        slots: set[Slot] = {("count", str(len(self.objects)))}
        for o in self.objects:
            slots |= {("colour", o.colour), (o.colour, "shape", o.shape)}
            for name in ("motion", "direction", "speed", "place"):
                if value := getattr(o, name):
                    slots.add((o.colour, name, value))
        if self.background:
            slots.add(("background", self.background))
        slots |= {("bar",)} if self.bar else set()
        slots |= {("wall", self.wall)} if self.wall else set()
        return frozenset(slots | ({("collision",)} if self.collision else set()))


def describe(facts: Facts, scene: Scene | None = None, events: tuple[Event, ...] = ()) -> Description:
    """The full description; places at the start come from `scene`, contacts from `events`."""
    objects = tuple(
        ObjectDescription(o.colour, o.shape, o.motion, o.direction, o.speed, _place(scene, i) if scene else None)
        for i, o in enumerate(facts.objects)
    )
    walls = [facts.objects[e.objects[0]].colour for e in events if e.kind == "wall"]
    collision = any(e.kind == "collision" for e in events)
    return Description(objects, facts.background, facts.occluder, walls[0] if walls else None, collision)


def caption(facts: Facts, level: str, *, still: bool = False) -> str:
    """The words for facts alone, at one of `LEVELS`.

    >>> from reference_model.world.facts import ObjectFacts
    >>> caption(Facts((ObjectFacts("red", "circle", "falls"),)), "medium")
    'a red circle falls on a black background'
    """
    return describe(facts).at(level, still=still).text()


def sample_level(rng: np.random.Generator, weights: tuple[float, float, float] = (0.4, 0.4, 0.2)) -> str:
    """A random one of `LEVELS`; `weights` are their probabilities."""
    return str(rng.choice(LEVELS, p=weights))


def _any(words: object) -> str:
    return "|".join(words)  # type: ignore[arg-type]


_OBJECT = re.compile(
    rf"\ba ({_any(COLOURS)}) ({_any(SHAPES)})(?: at the ((?:{_any(_ROWS)}) (?:{_any(_COLUMNS)})))?"
    rf"(?: (?:(floats) still|(moves|slides) ({_any(SPEEDS)}) ({_any(DIRECTIONS)})"
    r"|(rests) on the floor|falls and (bounces)|(falls)"
    # A pendulum, a ramp and a spring, in words that every checkpoint knows.
    rf"|slides down a bar to the (left|right)|on a bar moves ({_any(_OPPOSITE)}) and (?:{_any(_OPPOSITE)})))?"
)


def parse(text: str) -> Description:
    """The description of words of this grammar; the inverse of `Description.text`. Unreadable words are ignored.

    >>> parse("a red circle falls").objects
    (ObjectDescription(colour='red', shape='circle', motion='falls', direction=None, speed=None, place=None),)
    """
    objects = []
    for words in _OBJECT.findall(text.lower()):
        colour, shape, place, floats, moving, speed, direction, rests, bounces, falls, slope, swing = words
        forced = "descends" if slope else ("swings" if swing in ("left", "right") else "oscillates") if swing else ""
        motion = floats or moving or rests or bounces or falls or forced or None
        way = direction or slope or swing or None
        objects.append(ObjectDescription(colour, shape, motion, way, speed or None, place or None))
    background = re.search(rf"on a ({_any(BACKGROUNDS)}) background", text.lower())
    wall = re.search(rf"the ({_any(COLOURS)}) (?:{_any(SHAPES)}) hits the wall", text.lower())
    return Description(
        tuple(objects),
        background[1] if background else None,
        "behind a bar" in text.lower(),
        wall[1] if wall else None,
        "they collide" in text.lower(),
    )


def _place(scene: Scene, index: int) -> str:
    x, y = scene.starts[index]
    row = _ROWS[min(int(3 * y / scene.height), 2)]
    return f"{row} {_COLUMNS[min(int(3 * x / scene.width), 2)]}"
