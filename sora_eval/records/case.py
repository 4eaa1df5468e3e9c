"""What is asked for: a prompt, and one requested clip of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prompt:
    """One prompt. `facts` say what must be seen, where they are known."""

    id: str
    text: str
    tags: tuple[str, ...] = ()
    facts: dict[str, Any] | None = None


@dataclass(frozen=True)
class Case:
    """One requested clip. Of a case that comes with its video, the shape is not known before it is read (None)."""

    prompt: Prompt
    width: int | None
    height: int | None
    num_frames: int | None
    fps: float | None
    seed: int = 0

    @property
    def shape(self) -> str:
        return "native" if self.width is None else f"{self.width}x{self.height}x{self.num_frames}"

    @property
    def id(self) -> str:
        return f"{self.prompt.id}/{self.shape}/{self.seed}"
