"""Clips longer than those of the training, window by window: each goes on from the last frames of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reference_model.packing.shapes import TIME_STRIDE, check_window
from reference_model.sampling.pipeline import Pipeline, Request, Sample

SEED_STEP = 1 << 32  # between the noise of windows; seeds of clips are below it as a rule


def known_frames(window: int) -> int:
    """Frames of a window that are known from the one before: about half, 1 + 4k.

    >>> [known_frames(w) for w in (5, 9, 13, 17)]
    [1, 5, 5, 9]
    """
    return 1 + window // 2 // TIME_STRIDE * TIME_STRIDE


def generate_in_windows(pipeline: Pipeline, requests: Sequence[Request], window: int, packing: str = "packed") -> list[Sample]:
    """One clip per request, as `Pipeline.generate`; what is longer than `window` frames is continued until it is long enough.

    A refined prompt is refined once. Raises as `Pipeline.generate` and `check_window` do.
    """
    check_window(window)
    known = known_frames(window)
    first = [replace(r, num_frames=min(r.num_frames, _first_window(r, window))) for r in requests]
    out = pipeline.generate(first, packing)
    turn = 0
    while unfinished := [i for i, r in enumerate(requests) if len(out[i].frames) < r.num_frames]:
        turn += 1
        parts = [
            replace(
                requests[i],
                prompt=out[i].prompt,
                refine=False,
                seed=requests[i].seed + turn * SEED_STEP,
                num_frames=min(window, known + requests[i].num_frames - len(out[i].frames)),
                first_frames=out[i].frames[-known:],
            )
            for i in unfinished
        ]
        for i, part in zip(unfinished, pipeline.generate(parts, packing), strict=True):
            frames = np.concatenate([out[i].frames, part.frames[known:]])
            seconds = {stage: out[i].seconds[stage] + s for stage, s in part.seconds.items()}
            out[i] = Sample(frames, seconds, out[i].prompt)
    return out


def _first_window(request: Request, window: int) -> int:
    """Given first frames that fill a window, or more, need a longer one."""
    given = 0 if request.first_frames is None else len(request.first_frames)
    return max(window, given + TIME_STRIDE)
