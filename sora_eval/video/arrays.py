"""Clips that are arrays: frames in any order of axes that the shape tells, as uint8 or as floats."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.records.clip import Clip
from sora_eval.util.errors import ClipError, line_of
from sora_eval.video.pictures import ASSUMED_FPS, assumed

ARRAY_SUFFIXES = (".npy", ".npz")
FRAME_KEYS = ("frames", "video", "videos", "arr_0")
RATE_KEYS = ("fps", "frame_rate", "rate")
_AXES = {"(T, H, W, C)": (0, 1, 2, 3), "(T, C, H, W)": (0, 2, 3, 1), "(C, T, H, W)": (1, 2, 3, 0)}
_CHANNEL = {"(T, H, W, C)": 3, "(T, C, H, W)": 1, "(C, T, H, W)": 0}


def read_array(path: Path, fps: float | None = None) -> Clip:
    """The clip of an `.npy`, or of an `.npz` with the frames under one of FRAME_KEYS (or alone) and the rate under one of
    RATE_KEYS; else at `fps`, or ASSUMED_FPS with a note. Nothing is unpickled. Raises ClipError.
    """
    try:
        data = np.load(path, allow_pickle=False)
        stored = data if isinstance(data, np.ndarray) else {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:
        raise ClipError(f"{path} cannot be read as an array: {line_of(error)}") from error
    try:
        return clip_of(stored, fps)
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from None


def clip_of(stored: Any, fps: float | None = None, shape: tuple[int, int, int] | None = None) -> Clip:
    """The clip of an array, or of a table with frames and rate. Raises ClipError as `frames_of`, and for no frames.

    >>> clip_of({"video": np.zeros((5, 4, 6, 3), np.uint8), "fps": 24}).fps
    24.0
    """
    if isinstance(stored, Mapping):
        keys = [k for k in FRAME_KEYS if k in stored] or [k for k in stored if k not in RATE_KEYS]
        if len(keys) != 1:
            raise ClipError(f"it holds {', '.join(map(str, stored)) or 'nothing'}; expected one of {', '.join(FRAME_KEYS)}")
        rate = next((stored[k] for k in RATE_KEYS if k in stored), None)
        stored, fps = stored[keys[0]], fps if rate is None else _number(rate)
    if not isinstance(stored, np.ndarray):
        raise ClipError(f"it holds a {type(stored).__name__}; expected frames, or a table with frames and fps")
    frames, notes = frames_of(stored, shape)
    return Clip(frames, fps or ASSUMED_FPS, notes=(*notes, *assumed(fps)))


def frames_of(
    array: npt.NDArray[Any], expected: tuple[int, int, int] | None = None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Frames (T, H, W, 3) uint8 of an array, and notes on what was assumed.

    The axis of channels is the one of length 1 or 3, which is the last, the second or the first one; a leading axis of
    length 1 before four others is a batch of one clip. Of several readings, the one that gives the `expected` (T, H, W) is
    taken. Floats are of 0 to 1, or, where some are negative, of -1 to 1. Raises ClipError for a shape that has several readings
    or none, and for other values.

    >>> frames_of(np.zeros((3, 5, 8, 6), np.float32))[0].shape
    (5, 8, 6, 3)
    >>> frames_of(np.zeros((3, 3, 5, 3), np.float32), expected=(3, 3, 5))[0].shape
    (3, 3, 5, 3)
    >>> frames_of(np.zeros((3, 3, 8, 6), np.uint8))
    Traceback (most recent call last):
    sora_eval.util.errors.ClipError: its shape (3, 3, 8, 6) is (T, C, H, W) or (C, T, H, W); store a video file
    """
    shape = array.shape
    if array.ndim == 5 and shape[0] == 1:
        array = array[0]
    if array.ndim != 4 or 0 in shape:
        kind = "; a batch of clips is one file per clip" if array.ndim == 5 else ""
        raise ClipError(f"its shape is {shape}; expected one of {', '.join(_AXES)}, none of them 0{kind}")
    readings = [axes for axes, at in _CHANNEL.items() if array.shape[at] == 3]
    readings = readings or [axes for axes, at in _CHANNEL.items() if array.shape[at] == 1]
    if len(readings) > 1 and expected is not None:
        fitting = [axes for axes in readings if tuple(array.shape[at] for at in _AXES[axes][:3]) == expected]
        readings = fitting or readings
    if len(readings) != 1:
        fix = "store a video file" if expected is None else "return a Clip"
        which = f"is {' or '.join(readings)}; {fix}" if readings else "has no axis of 1 or 3 channels"
        raise ClipError(f"its shape {shape} {which}")
    frames, notes = _as_bytes(array.transpose(_AXES[readings[0]]))
    return np.ascontiguousarray(np.broadcast_to(frames, (*frames.shape[:3], 3))), notes


def may_be_clip(path: Path) -> bool:
    """Whether an `.npy` or `.npz` may hold frames: by the number of axes of its arrays. One that cannot be read may, and its
    row says why not."""
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(data, np.ndarray):
            return data.ndim >= 4
        with data:
            return any(_ndim(data, name) >= 4 for name in data.files)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return True


def _ndim(data: Any, name: str) -> int:
    """Number of axes of a member of an `.npz`, from its header alone."""
    with data.zip.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return len(read(file)[0])


def _as_bytes(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    if array.dtype == np.uint8:
        return array, ()
    if array.dtype.kind != "f":
        raise ClipError(f"it is of {array.dtype}; expected uint8, or floats of 0 to 1 or of -1 to 1")
    values = array.astype(np.float32)
    least, most = float(values.min()), float(values.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ClipError("it holds NaN or infinite values")
    if least < -1.001 or most > 1.001:  # beyond the rounding of half precision
        raise ClipError(f"its floats go from {least:.4g} to {most:.4g}; expected 0 to 1, or -1 to 1")
    signed = least < -1e-3
    unit = (values + 1) / 2 if signed else values
    return np.rint(unit.clip(0, 1) * 255).astype(np.uint8), (f"its floats are taken as of {'-1' if signed else '0'} to 1",)


def _number(rate: Any) -> float:
    value = np.asarray(rate)
    if value.size != 1 or value.dtype.kind not in "iuf":
        raise ClipError(f"its rate is {rate!r:.60}; expected a number")
    return float(value.reshape(()))
