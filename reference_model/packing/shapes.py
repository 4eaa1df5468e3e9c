"""Which clips the model can take."""

from __future__ import annotations

from reference_model.errors import ReferenceModelError

TIME_STRIDE = 4  # frames per latent frame
SPACE_STRIDE = 4  # px per latent site
MULTIPLE = 8  # px per side of a token, and so of both sides


class ShapeError(ReferenceModelError):
    """A clip whose size the model cannot take."""


def check_shape(num_frames: int, height: int, width: int) -> None:
    """Raises ShapeError unless T = 1 + 4k and both sides (px) are multiples of 8; the message names the nearest valid ones.

    >>> check_shape(16, 32, 32)
    Traceback (most recent call last):
    reference_model.packing.shapes.ShapeError: frames = 16 is not 1 + a multiple of 4; nearest valid: 13, 17
    """
    if num_frames < 1 or (num_frames - 1) % TIME_STRIDE:
        low = 1 + max(num_frames - 1, 0) // TIME_STRIDE * TIME_STRIDE
        raise ShapeError(f"frames = {num_frames} is not 1 + a multiple of 4; nearest valid: {low}, {low + TIME_STRIDE}")
    for name, side in (("height", height), ("width", width)):
        if side < MULTIPLE or side % MULTIPLE:
            low = max(side // MULTIPLE, 1) * MULTIPLE
            raise ShapeError(f"{name} = {side} is not a multiple of {MULTIPLE}; nearest valid: {low}, {low + MULTIPLE}")


def check_window(frames: int) -> None:
    """Raises ShapeError for a window that is not 1 + 4k frames, or too short to hold known and new ones."""
    if frames < 1 + TIME_STRIDE or frames % TIME_STRIDE != 1:
        raise ShapeError(f"a window of {frames} frames; expected 1 + a multiple of {TIME_STRIDE}, at least {1 + TIME_STRIDE}")
