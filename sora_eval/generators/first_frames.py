"""The frames that a clip begins with: those of a prompt's image or video, or of the world's clip for its facts."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.records.case import FirstFrames, Prompt
from sora_eval.records.request import Request
from sora_eval.registry.generators import GENERATORS
from sora_eval.registry.targets import load_target
from sora_eval.suite import Suite
from sora_eval.util.errors import ClipError
from sora_eval.util.sealed import file_digest
from sora_eval.video.codec import read_clip
from sora_eval.video.pictures import read_picture

Frames = npt.NDArray[np.uint8]


def begins(suite: Suite, prompt: Prompt) -> bool:
    """Whether the clips of a prompt begin with given frames."""
    return prompt.first_frames is not None or suite.generate.first_frames is not None


def with_first_frames(request: Request, suite: Suite, prompt: Prompt) -> Request:
    """The request with the first frames of its prompt, cut to the request's aspect ratio around the centre and resized.

    An image is one frame. A video gives as many as `[generate].first_frames` says, all without it; so does the world's clip of
    the prompt's facts, where it brings no file. Raises ClipError for a file that cannot be read or is another than planned.
    """
    if not begins(suite, prompt):
        return request
    frames = stored_frames(suite, prompt)
    if frames is None:
        world = load_target(GENERATORS.built_in["world"].target)("", {})
        frames = world.generate([request])[0].frames[: suite.generate.first_frames]
    return replace(request, first_frames=fitted(frames, request.width, request.height))


def stored_frames(suite: Suite, prompt: Prompt) -> Frames | None:
    """The frames of a prompt's file in their own size, None for a prompt without one. Raises ClipError."""
    file = prompt.first_frames
    if file is None:
        return None
    frames = _frames_of(file)
    number = suite.generate.first_frames if file.is_video else None
    if number is not None and len(frames) < number:
        raise ClipError(f"{file.path} has {len(frames)} frames; [generate].first_frames = {number}")
    return frames[:number]


@lru_cache(maxsize=4)
def _frames_of(file: FirstFrames) -> Frames:
    path = Path(file.path)
    frames = read_clip(path).frames if file.is_video else read_picture(path)[None]
    if file.sha256 and file_digest(path) != file.sha256:
        raise ClipError(f"{path} has changed since the suite was loaded")
    return frames


def fitted(frames: Frames, width: int, height: int) -> Frames:
    """Frames (T, H, W, 3) cut to an aspect ratio around their centre, and resized.

    >>> fitted(np.arange(8, dtype=np.uint8).reshape(1, 1, 8, 1).repeat(3, 3).repeat(4, 1), 4, 4)[0, 0, :, 0].tolist()
    [2, 3, 4, 5]
    """
    rows, columns = frames.shape[1:3]
    scale = max(width / columns, height / rows)
    cut_width, cut_height = min(round(width / scale), columns), min(round(height / scale), rows)
    left, top = (columns - cut_width) // 2, (rows - cut_height) // 2
    cut = frames[:, top : top + cut_height, left : left + cut_width]
    if cut.shape[1:3] == (height, width):
        return np.ascontiguousarray(cut)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.stack([np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8) for frame in cut])
