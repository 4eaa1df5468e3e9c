"""The request that a generator answers with a clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Request:
    """One clip to generate, in the words of diffusers: width and height in px, fps in frames per second.

    None leaves a setting to the generator. `facts` come with prompts whose true content is known. `first_frames` (T, height,
    width, 3) uint8 are the frames that the clip begins with: one for image to video, several for a continuation. `options` are
    keywords of the generator's own.
    """

    prompt: str
    width: int
    height: int
    num_frames: int
    fps: float
    seed: int
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    facts: dict[str, Any] | None = None
    case_seed: int = 0  # seed of the case in the suite; `seed` is derived from it and the prompt's id
    negative_prompt: str | None = None
    first_frames: npt.NDArray[np.uint8] | None = field(default=None, compare=False)
    options: dict[str, Any] = field(default_factory=dict)
