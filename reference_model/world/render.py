"""Soft-edged drawing from signed distances: a pixel's colour mixes by how much of it an object covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reference_model.world.facts import BACKGROUNDS, COLOURS, FLOOR_HEIGHT, ObjectFacts
from reference_model.world.scene import OCCLUDER_WIDTH, Scene, extents

FLOOR_GREY = 160
OCCLUDER_GREY = 200

Frames = npt.NDArray[np.uint8]  # (T, H, W, 3)


def render(scene: Scene, positions: npt.NDArray[np.float64]) -> tuple[Frames, npt.NDArray[np.uint8]]:
    """Draw centroids (T, N, 2) in px. Returns frames (T, H, W, 3) and object coverage (T, H, W), both uint8 0..255."""
    num_frames = len(positions)
    background = scene.facts.background
    image = np.full((num_frames, scene.height, scene.width, 3), float(BACKGROUNDS[background]))
    if scene.facts.gravity:
        image[:, scene.height - FLOOR_HEIGHT :] = FLOOR_GREY
    coverage = np.zeros((num_frames, scene.height, scene.width))
    ys = np.arange(scene.height)[None, :, None] + 0.5  # pixel centres
    xs = np.arange(scene.width)[None, None, :] + 0.5
    for index, o in enumerate(scene.facts.objects):
        x = positions[:, index, 0][:, None, None]
        y = positions[:, index, 1][:, None, None]
        alpha = np.clip(0.5 - _distance(o, xs - x, ys - y), 0.0, 1.0)  # (T, H, W)
        image += alpha[..., None] * (np.asarray(COLOURS[o.colour], float) - image)
        coverage = np.maximum(coverage, alpha)
    if scene.occluder_x is not None:
        left, right = scene.occluder_x, scene.occluder_x + OCCLUDER_WIDTH
        bar = np.clip(np.minimum(xs + 0.5, right) - np.maximum(xs - 0.5, left), 0.0, 1.0)  # (1, 1, W)
        image += bar[..., None] * (OCCLUDER_GREY - image)
        coverage *= 1.0 - bar
    return np.round(image).astype(np.uint8), np.round(coverage * 255).astype(np.uint8)


def _distance(o: ObjectFacts, dx: npt.NDArray[np.float64], dy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Signed distance in px to the outline, negative inside; exact along the sides."""
    half, _, down = extents(o)
    if o.shape == "circle":
        return np.hypot(dx, dy) - half
    if o.shape == "square":
        return np.maximum(np.abs(dx), np.abs(dy)) - half
    # Equilateral, point up: the inradius is `down`, the slanted sides have normals (+-sqrt(3)/2, -1/2).
    slant: npt.NDArray[np.float64] = np.sqrt(3) / 2 * np.abs(dx) - 0.5 * dy
    return np.maximum(slant, dy) - down
