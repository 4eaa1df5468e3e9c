"""Soft-edged drawing from signed distances: a pixel's colour mixes by how much of it an object covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reference_model.world.devices import anchor, ramp_of
from reference_model.world.facts import BACKGROUNDS, COLOURS, FLOOR_HEIGHT, ObjectFacts
from reference_model.world.scene import OCCLUDER_WIDTH, Scene, extents

FLOOR_GREY = 160
OCCLUDER_GREY = 200
DEVICE_GREY = 160
ROD = 1.0  # px, width of a rod and of a spring
SLOPE = 2.0  # px, thickness of a ramp below its surface; as the floor

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
    if scene.facts.device:
        bar = _device(scene, positions[:, 0], np.asarray(xs, np.float64), np.asarray(ys, np.float64))[..., None]
        image += bar * (DEVICE_GREY - image)
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


def _device(
    scene: Scene, ends: npt.NDArray[np.float64], xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Coverage (T, H, W) by the rod or spring from its hook to the object's centroid (T, 2), or by the ramp."""
    if scene.facts.device == "ramp":
        ramp = ramp_of(scene.facts, scene.height, scene.width)
        (ax, ay), (bx, by) = ramp.top, ramp.foot
        # Depth below the surface, px: the inner normal of a slope with unit vector (ux, uy) is (-uy, ux) times the side.
        depth = ((ys - ay) * (bx - ax) - (xs - ax) * (by - ay)) / np.hypot(bx - ax, by - ay) * np.sign(bx - ax)
        return np.broadcast_to(np.clip(0.5 + np.minimum(depth, SLOPE - depth), 0.0, 1.0), (len(ends), *depth.shape[1:]))
    hook = anchor(scene.width)
    dx, dy = (ends[:, axis, None, None] - hook[axis] for axis in (0, 1))  # (T, 1, 1)
    along = np.clip(((xs - hook[0]) * dx + (ys - hook[1]) * dy) / (dx**2 + dy**2), 0.0, 1.0)
    return np.clip(0.5 + ROD / 2 - np.hypot(xs - hook[0] - along * dx, ys - hook[1] - along * dy), 0.0, 1.0)


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
