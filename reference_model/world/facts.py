"""The facts of a scene, in the words of its captions. Units are those of every frame size: lengths in pixels, times in
frames (8 per second), so a speed or a gravity is the same in a 24x40 and in a 48x48 clip."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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
            "motion": FLOATING + FALLING,
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
class Facts:
    """The facts of one scene: 1 to 3 objects of different colours. Raises FactsError for facts that exclude each other."""

    objects: tuple[ObjectFacts, ...]
    background: str = "black"
    occluder: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.objects) <= 3:
            raise FactsError(f"{len(self.objects)} objects; expected 1 to 3")
        if len({o.colour for o in self.objects}) != len(self.objects):
            raise FactsError("two objects have the same colour; every object of a scene has its own")
        if self.background not in BACKGROUNDS:
            raise FactsError(f"background is {self.background!r}; expected one of: {', '.join(BACKGROUNDS)}")
        if len({o.motion in FALLING for o in self.objects}) != 1:
            raise FactsError("objects that fall and objects that float cannot share a scene")

    @property
    def gravity(self) -> bool:
        """Whether the scene has gravity and a floor, by the motions of its objects."""
        return self.objects[0].motion in FALLING

    def to_json(self) -> dict[str, Any]:
        """The facts as plain data, with the numbers of physics metrics: velocity, radius, gravity, floor (px, frames)."""
        data = asdict(self)
        for record, o in zip(data["objects"], self.objects, strict=True):
            record["velocity"] = list(o.velocity)
            record["radius"] = RADIUS
        data["objects"] = list(data["objects"])
        data["gravity"] = GRAVITY if self.gravity else 0.0
        data["floor"] = FLOOR_HEIGHT if self.gravity else 0
        return data

    @staticmethod
    def from_json(data: dict[str, Any]) -> Facts:
        """Facts from plain data; derived numbers are computed again, so a file cannot contradict itself. Raises FactsError."""
        keys = ("colour", "shape", "motion", "direction", "speed")
        try:
            objects = tuple(ObjectFacts(**{k: o.get(k) for k in keys}) for o in data["objects"])
            return Facts(objects, data.get("background", "black"), bool(data.get("occluder", False)))
        except (KeyError, TypeError, AttributeError) as error:
            raise FactsError(f"facts need 'objects', a list of tables with {', '.join(keys)}: {error}") from error
