"""What a generator is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """What a generator is asked for, in diffusers' words. `facts` come with prompts whose truth is known."""

    prompt: str
    width: int
    height: int
    num_frames: int
    fps: float
    seed: int
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    facts: dict[str, Any] | None = None
    case_seed: int = 0  # the suite's seed of this case, before it was mixed with the prompt's id
