"""The shapes and rates of clips that a generator can make, and the settings that it reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

SETTINGS = ("num_inference_steps", "guidance_scale")  # of [generate]; what reads neither, a renderer, ignores them

MOST_FRAMES = 1_000_000  # of one clip


@dataclass(frozen=True)
class Capabilities:
    """What a generator can make and what it reads.

    Widths and heights (px) are multiples of `side`, or, where they are listed, one of `sizes`. Lengths (frames) are
    `offset` + a multiple of `stride`, at most `most_frames`; `fps` is the one rate (frames per second), None: any.
    `settings` are the keys of `[generate]` that it reads, None: whatever it is given. A clip begins with `first_frames`
    (least, most) given frames, `offset` + a multiple of `stride` of them; 0: from none. Where nothing of this is
    `stated`, the first clip of every shape is checked before others are made.
    """

    side: int = 1
    stride: int = 1
    fps: float | None = None
    offset: int = 1
    most_frames: int | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    settings: tuple[str, ...] | None = SETTINGS
    first_frames: tuple[int, int] = (0, 0)
    stated: bool = True

    def __post_init__(self) -> None:
        numbers = {"side": self.side, "stride": self.stride, "fps": self.fps, "most_frames": self.most_frames}
        for name, value in numbers.items():
            optional = name in ("fps", "most_frames") and value is None
            if not optional and (not isinstance(value, int | float) or not value > 0):
                raise ValueError(f"{name} = {value!r:.60}; expected a number above 0")
        if not isinstance(self.offset, int) or self.offset < 0:
            raise ValueError(f"offset = {self.offset!r:.60}; expected a whole number of at least 0")
        if isinstance(self.settings, str) or not all(isinstance(name, str) for name in self.settings or ()):
            raise ValueError(f"settings = {self.settings!r:.60}; expected names of keys of [generate]")
        if len(self.first_frames) != 2 or not 0 <= self.first_frames[0] <= self.first_frames[1]:
            raise ValueError(f"first_frames = {self.first_frames!r:.60}; expected the least and the largest number of them")

    def has_length(self, frames: int) -> bool:
        """Whether clips of this length can be made.

        >>> [Capabilities(stride=4, most_frames=20).has_length(frames) for frames in (16, 17, 21)]
        [False, True, False]
        """
        return frames >= self.offset and (frames - self.offset) % self.stride == 0 and frames <= (self.most_frames or frames)

    def has_rate(self, fps: float) -> bool:
        """Whether clips of this rate can be made.

        >>> Capabilities(fps=30000 / 1001).has_rate(29.97), Capabilities(fps=8).has_rate(24.0), Capabilities().has_rate(24.0)
        (True, False, True)
        """
        return self.fps is None or same_rate(self.fps, fps)


def same_rate(a: float, b: float) -> bool:
    """Whether two rates are one, as 29.97 and 30000/1001 are; 24 and 23.976 are two."""
    return math.isclose(a, b, rel_tol=5e-4)
