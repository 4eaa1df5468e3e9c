"""Clips that are tensors in `.pt` files. They are read with `weights_only`: nothing in them is executed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from sora_eval.records.clip import Clip
from sora_eval.util.errors import ClipError, line_of
from sora_eval.video.arrays import clip_of


def read_tensor(path: Path, fps: float | None = None) -> Clip:
    """The clip of a tensor, or of a table with frames and rate, as `arrays.clip_of`. Raises ClipError."""
    import torch

    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ClipError(f"{path} cannot be read as tensors alone: {line_of(error)}") from error
    try:
        return clip_of(_as_arrays(stored), fps)
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from None


def _as_arrays(stored: Any) -> Any:
    import torch

    if isinstance(stored, torch.Tensor):
        tensor = stored.detach()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return {key: _as_arrays(value) for key, value in stored.items()} if isinstance(stored, dict) else stored
