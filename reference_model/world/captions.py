"""The grammar: facts to words, from short to dense, over a closed vocabulary."""

from __future__ import annotations

import numpy as np

from reference_model.world.facts import BACKGROUNDS, COLOURS, DIRECTIONS, SHAPES, SIZES, SPEEDS, Facts, ObjectFacts
from reference_model.world.physics import Event
from reference_model.world.scene import Scene

LEVELS = ("short", "medium", "dense")
MAX_WORDS = 46  # with its two marks a caption fits the 48 tokens of the text encoder
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "center", "right")

_GRAMMAR_WORDS = [
    "a",
    "an",
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
    "thrown",
    "lands",
]
WORDS: tuple[str, ...] = tuple(
    dict.fromkeys([*_GRAMMAR_WORDS, *COLOURS, *BACKGROUNDS, *SHAPES, *SIZES, *SPEEDS, *DIRECTIONS, *_ROWS, *_COLUMNS])
)


def motion_words(o: ObjectFacts) -> str:
    """The verb phrase of an object's motion."""
    match o.motion:
        case "floats":
            return "floats still"
        case "moves" | "slides":
            return f"{o.motion} {o.speed} {o.direction}"
        case "thrown":
            return f"is thrown {o.direction}"
        case "rests":
            return "rests on the floor"
        case "bounces":
            return "falls and bounces"
        case _:
            return "falls"


def caption(
    facts: Facts, level: str, *, still: bool = False, scene: Scene | None = None, events: tuple[Event, ...] = ()
) -> str:
    """Describe facts in words.

    `short` names colour, shape and motion; `medium` adds size, background and the bar; `dense` adds the place of each
    object at the first frame (needs `scene`) and the contacts that happen (`events`). A `still` picture shows no
    motion, so its caption names none.
    """
    parts = []
    for index, o in enumerate(facts.objects):
        words = f"a {o.colour} {o.shape}" if level == "short" else f"a {o.size} {o.colour} {o.shape}"
        if level == "dense" and scene is not None:
            words += f" at the {_place(scene, index)}"
        parts.append(words if still else f"{words} {motion_words(o)}")
    text = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    if level != "short":
        text += f" on a {facts.background} background"
        text += " behind a bar" if facts.occluder else ""
    if level == "dense" and not still:
        for sentence in _event_sentences(facts, events):
            if len(text.replace(",", " ,").split()) + len(sentence.split()) + 1 <= MAX_WORDS:
                text += f" . {sentence}"
    return text


def sample_caption(facts: Facts, rng: np.random.Generator, *, still: bool, scene: Scene, events: tuple[Event, ...]) -> str:
    """A caption of a random level, mostly detailed: users write both kinds of prompt."""
    level = str(rng.choice(LEVELS, p=[0.2, 0.45, 0.35]))
    return caption(facts, level, still=still, scene=scene, events=events)


def _place(scene: Scene, index: int) -> str:
    x, y = scene.starts[index]
    row = _ROWS[min(int(3 * y / scene.height), 2)]
    return f"{row} {_COLUMNS[min(int(3 * x / scene.width), 2)]}"


def _event_sentences(facts: Facts, events: tuple[Event, ...]) -> list[str]:
    walls = [
        f"the {facts.objects[e.objects[0]].colour} {facts.objects[e.objects[0]].shape} hits the wall"
        for e in events
        if e.kind == "wall"
    ]
    return walls[:1] + (["they collide"] if any(e.kind == "collision" for e in events) else [])
