"""A clip from what a user's code returns: arrays in several orders of axes, tensors, pictures, files, tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import ClipError
from sora_eval.video.arrays import FRAME_KEYS, clip_of
from sora_eval.video.codec import read_clip


def clip_from(answer: Any, request: Request) -> Clip:
    """The clip in an answer: a `Clip`, the path of a video, frames, or a table of frames (of FRAME_KEYS) and perhaps fps.

    Frames are an array or a tensor as `video.arrays.frames_of` reads them, or a list of PIL pictures or of arrays (H, W, 3). A
    rate that the answer leaves open is the request's. Raises ClipError for anything else, and for frames of two readings.
    """
    if isinstance(answer, Clip):
        return answer
    if isinstance(answer, str | Path):
        return read_clip(Path(answer), fps=request.fps)
    if isinstance(answer, Mapping):
        answer = {key: _array(value) if key in FRAME_KEYS else value for key, value in answer.items()}
    else:
        answer = _array(answer)
        if not isinstance(answer, np.ndarray):
            kind = type(answer).__name__
            raise ClipError(f"frames are a {kind}; expected an array, a tensor, a list of pictures, a file or a Clip")
    shape = (request.num_frames, request.height, request.width)
    return clip_of(answer, request.fps, shape)


def _array(value: Any) -> Any:
    """A tensor, or a list of pictures or frames, as an array; anything else as it is."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a torch tensor; this module does not load torch
        tensor = value.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # numpy knows no bfloat16
    if not isinstance(value, list | tuple) or not value:
        return value
    if all(hasattr(part, "convert") and hasattr(part, "size") for part in value):
        value = [np.asarray(picture.convert("RGB")) for picture in value]
    frames = [_array(part) for part in value]
    if not all(isinstance(frame, np.ndarray) and frame.ndim == 3 for frame in frames):
        kinds = sorted({type(part).__name__ for part in value})
        raise ClipError(f"the answer is a list of {', '.join(kinds)}; expected pictures, or arrays (H, W, 3)")
    if len(shapes := sorted({frame.shape for frame in frames})) > 1:
        raise ClipError(f"its frames have the shapes {shapes[0]} and {shapes[1]}; expected one")
    return np.stack(frames)
