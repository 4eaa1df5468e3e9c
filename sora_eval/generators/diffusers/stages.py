"""The times of a pipeline's call by stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any


class Stages:
    """Splits a pipeline's call into text, denoise, denoise_step (one of them) and decode, by the pipeline's own callback.

    The device is synchronised at the end of a stage, never between steps. Without a callback there is no split.
    """

    def __init__(self, pipeline: Any, synchronise: Callable[[], None]) -> None:
        self._pipeline, self._synchronise = pipeline, synchronise
        self._text, self._steps, self._denoised = 0.0, 0, 0.0
        self.seconds: dict[str, float] = {}

    def after_step(self, pipeline: Any, step: int, time_of_step: Any, values: dict[str, Any]) -> dict[str, Any]:
        """The pipeline's `callback_on_step_end`; changes nothing."""
        self._steps = step + 1
        if self._steps == pipeline.num_timesteps:
            self._synchronise()
            self._denoised = time.perf_counter()
        return {}

    def __enter__(self) -> None:
        encode = getattr(self._pipeline, "encode_prompt", None)
        if encode is not None:
            self._pipeline.encode_prompt = partial(self._time_encode, encode)
        self._started = time.perf_counter()

    def _time_encode(self, encode: Any, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        out = encode(*arguments, **options)
        self._synchronise()
        self._text += time.perf_counter() - started
        return out

    def __exit__(self, *_: object) -> None:
        self._synchronise()
        ended = time.perf_counter()
        vars(self._pipeline).pop("encode_prompt", None)
        if self._denoised:
            denoise = self._denoised - self._started - self._text
            split = {"text": self._text, "denoise": denoise, "denoise_step": denoise / self._steps}
            self.seconds = {**split, "decode": ended - self._denoised}
