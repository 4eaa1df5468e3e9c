"""Prompts, and cases: one requested clip of a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FirstFrames:
    """The file whose first frames a clip begins with, a picture or a video, and the sha256 of its bytes."""

    path: str
    sha256: str
    is_video: bool = False


@dataclass(frozen=True)
class Prompt:
    """One prompt. `id` is a name in any script; `facts` are the true content, where it is known.

    `negative_prompt` replaces the suite's; `first_frames` are of prompts that bring an image or a video.
    """

    id: str
    text: str
    tags: tuple[str, ...] = ()
    facts: dict[str, Any] | None = None
    negative_prompt: str | None = None
    first_frames: FirstFrames | None = None


@dataclass(frozen=True)
class Case:
    """One requested clip: width and height in px, fps in frames per second.

    The shape of a case that brings its video is None: it is not known before the file is read.

    >>> Case(Prompt("p1", "a red ball"), 40, 24, 17, 8.0).id, Case(Prompt("p2", "a dog"), None, None, None, None).id
    ('p1/40x24x17/0', 'p2/native/0')
    """

    prompt: Prompt
    width: int | None
    height: int | None
    num_frames: int | None
    fps: float | None
    seed: int = 0

    @property
    def shape(self) -> str:
        """`WxHxT`, or `native` where it is not known."""
        return "native" if self.width is None else f"{self.width}x{self.height}x{self.num_frames}"

    @property
    def id(self) -> str:
        """`PROMPT/SHAPE/SEED`, unique in a suite."""
        return f"{self.prompt.id}/{self.shape}/{self.seed}"
