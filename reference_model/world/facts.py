"""The facts of a scene, in the words of its captions. Units are those of every frame size: lengths in pixels, times in
frames (8 per second), so a speed or a gravity is the same in a 24x40 and in a 48x48 clip."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from reference_model.errors import ReferenceModelError

FPS = 8
GRAVITY = 0.3  # px/frame^2: a fall through a 32 px frame takes about 12 frames, so it ends inside a 17-frame clip
FLOOR_HEIGHT = 2  # px, drawn where there is gravity

# Six hues of equal chroma on grey backgrounds: coverage, and so a sub-pixel centroid, can be read back from chroma.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 30, 30),
    "yellow": (230, 230, 30),
    "green": (30, 230, 30),
    "cyan": (30, 230, 230),
    "blue": (30, 30, 230),
    "magenta": (230, 30, 230),
}
# Dark grounds: brighter ones would be most of a latent's variance, and objects the small rest of it.
BACKGROUNDS: dict[str, int] = {"black": 10, "gray": 60, "silver": 110}
SHAPES = ("circle", "square", "triangle")
RADIUS = 4.5  # px, of the circle of equal area
SPEEDS: dict[str, float] = {"slowly": 0.75, "quickly": 1.5}  # px/frame
DIRECTIONS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

FLOATING = ("floats", "moves")  # motions of a world without gravity
FALLING = ("falls", "bounces", "slides", "rests")  # motions of a world with gravity and a floor

# Motions that a device forces, which no training clip shows, with what it forces them by. A device holds one object.
DEVICES: dict[str, str] = {"swings": "pendulum", "descends": "ramp", "oscillates": "spring"}

# Never seen in training: out-of-distribution suites ask for them.
HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    {("red", "bounces"), ("green", "slides"), ("cyan", "moves"), ("magenta", "falls")}
)


class FactsError(ReferenceModelError):
    """Facts that the world cannot render."""


@dataclass(frozen=True)
class ObjectFacts:
    """One object: its look and its motion. Raises FactsError for a word outside the vocabulary."""

    colour: str
    shape: str
    motion: str
    direction: str | None = None
    speed: str | None = None

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[Any, ...]] = {
            "colour": tuple(COLOURS),
            "shape": SHAPES,
            "motion": (*FLOATING, *FALLING, *DEVICES),
            "direction": (None, *DIRECTIONS),
            "speed": (None, *SPEEDS),
        }
        for field, values in allowed.items():
            if getattr(self, field) not in values:
                expected = ", ".join(str(v) for v in values)
                raise FactsError(f"object {field} is {getattr(self, field)!r}; expected one of: {expected}")

    @property
    def velocity(self) -> tuple[float, float]:
        """Velocity at the first frame, px/frame, (x, y) with y downwards.

        >>> ObjectFacts("red", "circle", "moves", "left", "slowly").velocity
        (-0.75, 0.0)
        """
        if self.motion in ("moves", "slides") and self.direction and self.speed:
            dx, dy = DIRECTIONS[self.direction]
            return dx * SPEEDS[self.speed], dy * SPEEDS[self.speed]
        return 0.0, 0.0


@dataclass(frozen=True)
class Constants:
    """The constants of a scene that states its own, and the geometry of its device; px and frames.

    `gravity` px/frame^2; `restitution` of every contact with floor and walls, 0 to 1; `friction` of the floor and of a ramp
    (Coulomb's coefficient); `drag` 1/frame (a velocity v loses drag * v per frame). `length` (px) of a pendulum, from the pivot
    in the middle of the upper edge; `angle` (degrees) of its start from the vertical, or of a ramp from the horizontal;
    `stiffness` (1/frame^2, per unit of mass) of a spring. Raises FactsError for a value outside its range.
    """

    gravity: float = GRAVITY
    restitution: float = 0.8
    friction: float = 0.0
    drag: float = 0.0
    length: float | None = None
    angle: float | None = None
    stiffness: float | None = None

    def __post_init__(self) -> None:
        ranges = {
            "gravity": (0.01, 2.0),
            "restitution": (0.0, 1.0),
            "friction": (0.0, 2.0),
            "drag": (0.0, 0.5),
            "length": (6.0, 200.0),
            "angle": (1.0, 80.0),
            "stiffness": (0.005, 1.0),
        }
        for field, (low, high) in ranges.items():
            value = getattr(self, field)
            if value is None and field in ("length", "angle", "stiffness"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise FactsError(f"{field} is {value!r}; expected a number from {low:g} to {high:g}")

    @property
    def damping(self) -> float:
        """The share of a velocity that is left of it after a frame."""
        return math.exp(-self.drag)


NEEDED_BY: dict[str, tuple[str, ...]] = {"swings": ("length", "angle"), "descends": ("angle",), "oscillates": ("stiffness",)}


@dataclass(frozen=True)
class Facts:
    """The facts of one scene: 1 to 3 objects of different colours; `constants` where it states its own, as scenes with a device
    do. Raises FactsError for facts that exclude each other."""

    objects: tuple[ObjectFacts, ...]
    background: str = "black"
    occluder: bool = False
    constants: Constants | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.objects) <= 3:
            raise FactsError(f"{len(self.objects)} objects; expected 1 to 3")
        if len({o.colour for o in self.objects}) != len(self.objects):
            raise FactsError("two objects have the same colour; every object of a scene has its own")
        if self.background not in BACKGROUNDS:
            raise FactsError(f"background is {self.background!r}; expected one of: {', '.join(BACKGROUNDS)}")
        if len({o.motion in FALLING for o in self.objects}) != 1:
            raise FactsError("objects that fall and objects that float cannot share a scene")
        if any(o.motion in DEVICES for o in self.objects):
            self._check_device()

    def _check_device(self) -> None:
        motion, directions = (
            self.objects[0].motion,
            ("up", "down") if self.objects[0].motion == "oscillates" else ("left", "right"),
        )
        if len(self.objects) > 1 or self.occluder:
            raise FactsError("a scene with a pendulum, a ramp or a spring has one object and no bar before it")
        if self.objects[0].direction not in directions:
            raise FactsError(
                f"what {motion} has the direction {self.objects[0].direction!r}; expected {' or '.join(directions)}"
            )
        for field in NEEDED_BY[motion]:
            if self.constants is None or getattr(self.constants, field) is None:
                raise FactsError(f"what {motion} needs a {DEVICES[motion]}: constants.{field} is missing")

    @property
    def device(self) -> str | None:
        """ "pendulum", "ramp" or "spring"; None for what moves freely."""
        return DEVICES.get(self.objects[0].motion)

    @property
    def gravity(self) -> bool:
        """Whether the scene has gravity and a floor, by the motions of its objects."""
        return self.objects[0].motion not in FLOATING

    def to_json(self) -> dict[str, Any]:
        """The facts as plain data, with the numbers of physics metrics: velocity, radius, gravity, floor (px, frames).

        `constants` and `device` are there in scenes that have them only.
        """
        data = asdict(self)
        for record, o in zip(data["objects"], self.objects, strict=True):
            record["velocity"] = list(o.velocity)
            record["radius"] = RADIUS
        data["objects"] = list(data["objects"])
        data["gravity"] = (self.constants or Constants()).gravity if self.gravity else 0.0
        data["floor"] = FLOOR_HEIGHT if self.gravity else 0
        if self.constants is None:
            del data["constants"]
        if self.device is not None:
            data["device"] = self.device
        return data

    @staticmethod
    def from_json(data: dict[str, Any]) -> Facts:
        """Facts from plain data; derived numbers are computed again, so a file cannot contradict itself. Raises FactsError."""
        keys = ("colour", "shape", "motion", "direction", "speed")
        try:
            objects = tuple(ObjectFacts(**{k: o.get(k) for k in keys}) for o in data["objects"])
            constants = None if data.get("constants") is None else Constants(**data["constants"])
            return Facts(objects, data.get("background", "black"), bool(data.get("occluder", False)), constants)
        except (KeyError, TypeError, AttributeError) as error:
            expected = f"facts need 'objects', a list of tables with {', '.join(keys)}"
            if data.get("constants") is not None:
                expected += f", and 'constants' a table with {', '.join(f.name for f in fields(Constants))}"
            raise FactsError(f"{expected}: {error}") from error
