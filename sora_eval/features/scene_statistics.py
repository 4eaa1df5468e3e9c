"""Statistics of patches of a clip's frames, at several scales: contrast, and the features of NIQE (Mittal et al. 2013).

NIQE divides each pixel's distance from its local mean by the local deviation. Contrast keeps both, as logarithms, so that it
grows with a damage; NIQE's features describe the ratio alone, by fits of asymmetric generalised Gaussians to it and to the
products of neighbours. No network; numpy, SciPy's gamma and OpenCV's filters.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import gamma

from sora_eval.features.view import Array
from sora_eval.records.clip import Clip
from sora_eval.stats.natural_scene import packed
from sora_eval.util.errors import Undefined

FRAMES = 16  # evenly spaced, of a clip
LARGEST_PATCH = 96  # px, as published; smaller where the short side has no two of them
LEAST_PATCH = 8  # px: its half is the smallest patch with pixels beside those of the border
GRID = 8  # px; in the frame, not in the patch
ROUNDING = 1e-4  # grey levels: the deviation of a flat place, whose variance is a difference of squares of up to 65025
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
WINDOW = cv2.getGaussianKernel(7, 7 / 6)  # of local mean and deviation
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Floats = npt.NDArray[np.float64]

_SHAPES = np.arange(0.2, 10.001, 0.001)
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))  # rises with the shape
_WIDTHS = np.sqrt(gamma(1 / _SHAPES) / gamma(3 / _SHAPES))
_MEANS = gamma(2 / _SHAPES) / gamma(1 / _SHAPES)


def _halving() -> Floats:
    """The taps (8,) of a bicubic (Keys, a = -1/2) that is stretched to halve a picture, as imresize of MATLAB and Pillow do."""
    x = np.abs(np.arange(8) - 3.5) / 2
    taps = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    return np.asarray(taps / taps.sum(), np.float64)


HALVING = _halving()


def patch_side(height: int, width: int) -> int:
    """Side of the patches of a frame, px, even: 96 where two fit into the short side, else as large as two can be.

    Raises Undefined for a short side below 16 px.

    >>> patch_side(720, 1280), patch_side(32, 32), patch_side(24, 40)
    (96, 16, 12)
    """
    side = min(LARGEST_PATCH, 2 * (min(height, width) // 4))
    if side < LEAST_PATCH:
        raise Undefined(f"frames of {width}x{height} px; patches of {LEAST_PATCH} px need a short side of {2 * LEAST_PATCH}")
    return side


class SceneStatistics:
    """Size, number of patches, and mean and covariance of their features, of up to 16 frames evenly spaced: one vector, as
    `stats.natural_scene.packed` lays it out. `features` is `contrast` (11 of a patch) or `niqe` (36)."""

    cached = True
    beside_networks = True

    def __init__(self, features: Literal["contrast", "niqe"]) -> None:
        self.features = features
        what = f"contrast:log1p|grid:{GRID}px|scales:1,2,below-96px" if features == "contrast" else "mscn-aggd|scales:1,2"
        patches = f"patch:half-short-side-at-most-{LARGEST_PATCH}px|frames:{FRAMES}-even"
        self.signature = f"{what}|luma-601|window:7x7-sd-7/6|bicubic|{patches}"

    def __call__(self, clip: Clip) -> Array:
        places = np.unique(np.linspace(0, clip.num_frames - 1, min(FRAMES, clip.num_frames)).round().astype(int))
        side = patch_side(clip.height, clip.width)
        of_frame = contrast_features if self.features == "contrast" else niqe_features
        features = np.concatenate([of_frame(clip.frames[i] @ LUMA, side) for i in places])
        if len(features) < 2:
            raise Undefined(f"{len(features)} patches of its frames are not flat; a covariance needs 2")
        return packed(clip.width, clip.height, features).astype(np.float32)  # as features files hold it


def contrast_features(luma: npt.ArrayLike, side: int) -> Floats:
    """Features (patches, 11) of one frame (H, W), 0 to 255, cut to whole patches of `side` px, as log(1 + grey levels).

    At full size, half of it and the coarsest: root mean square distance from the local mean, mean and median local deviation;
    then the mean step between neighbours across the lines of a grid of 8 px, as blocks of JPEG, MPEG and of latents have them,
    and elsewhere. The coarsest scale of a frame below 96 px is its full size again, which adds nothing.
    """
    image = _whole(luma, side)
    steps = _steps(image, side)
    last = coarsest(*image.shape)
    by_scale = []
    for scale in range(max(last, 1) + 1):
        away, spread = (_patches(x, side >> scale) for x in _local(image))
        by_scale.append([np.sqrt(np.square(away).mean((1, 2))), spread.mean((1, 2)), np.median(spread, axis=(1, 2))])
        image = _halved(image)
    columns = [*by_scale[0], *by_scale[1], *by_scale[last]]
    return np.asarray(np.log1p(np.stack([*columns, *steps], axis=1)), np.float64)


def coarsest(height: int, width: int) -> int:
    """How often a frame is halved until its short side is below 96 px, at most five times: what is seen of it as a whole.

    >>> coarsest(32, 32), coarsest(480, 720), coarsest(704, 1280)
    (0, 3, 3)
    """
    return min(max((min(height, width) // LARGEST_PATCH).bit_length(), 0), 5)


def _steps(image: Floats, side: int) -> tuple[Floats, Floats]:
    """Mean step from the pixel before, along both axes, across the grid's lines and elsewhere, by patch (n,) each."""
    sums = np.zeros((2, 2, (image.shape[0] // side) * (image.shape[1] // side)))  # on the grid or not, sum or count, patch
    for axis in (0, 1):
        steps = np.abs(np.diff(image, axis=axis, prepend=np.take(image, [0], axis)))
        number = np.arange(image.shape[axis])
        for i, line in enumerate(((number % GRID == 0) & (number > 0), number % GRID != 0)):
            counted = np.broadcast_to(line[:, None] if axis == 0 else line, image.shape).astype(np.float64)
            sums[i] += _patches(steps * counted, side).sum((1, 2)), _patches(counted, side).sum((1, 2))
    on, off = sums[:, 0] / np.maximum(sums[:, 1], 1.0)
    return on, off


def niqe_features(luma: npt.ArrayLike, side: int) -> Floats:
    """NIQE's features (patches, 36) of one frame (H, W), 0 to 255, cut to whole patches of `side` px, without flat ones.

    As published, but for distributions with values on one side of 0 alone, where the published code divides by none.
    """
    image = _whole(luma, side)
    both = []
    for scale in (1, 2):
        away, deviation = _local(image)
        both.append(_of_ratio(_patches(away / (deviation + 1.0), side // scale)))
        image = _halved(image)
    features = np.concatenate(both, axis=1)
    return features[np.isfinite(features).all(1)]


def _whole(luma: npt.ArrayLike, side: int) -> Floats:
    image = np.asarray(luma, np.float64)
    height, width = (n // side * side for n in image.shape)
    return image[:height, :width]


def _patches(image: Floats, side: int) -> Floats:
    """(n, side, side) of (H, W), row by row."""
    rows, columns = (n // side for n in image.shape)
    return image.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _local(image: Floats) -> tuple[Floats, Floats]:
    """Distance from the mean around each pixel, and standard deviation there, Gaussian weights, the border repeated: (H, W)."""
    mean, square = (cv2.sepFilter2D(x, -1, WINDOW, WINDOW, borderType=cv2.BORDER_REPLICATE) for x in (image, image * image))
    away, deviation = np.asarray(image - mean, np.float64), np.sqrt(np.abs(square - mean * mean))
    flat = deviation < ROUNDING
    return np.where(flat, 0.0, away), np.where(flat, 0.0, deviation)


def _halved(image: Floats) -> Floats:
    """Half the size, antialiased; the border is mirrored."""
    filtered = cv2.sepFilter2D(image, -1, HALVING, HALVING, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return np.asarray(filtered[::2, ::2], np.float64)


def _of_ratio(patches: Floats) -> Floats:
    """(n, 18) of normalised patches (n, s, s)."""
    shape, left, right, _ = asymmetric_fit(patches)
    columns = [shape, (left + right) / 2]
    for shift in SHIFTS:
        shape, left, right, mean = asymmetric_fit(patches * np.roll(patches, shift, axis=(1, 2)))
        columns += [shape, mean, left, right]
    return np.stack(columns, axis=1)


def asymmetric_fit(values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Shape (0.2 to 10 in steps of 0.001), left and right width, and mean of an asymmetric generalised Gaussian, each (n,),
    fitted by moments (Lasmar et al. 2009) to each of (n, ...); NaN where all values are 0."""
    x = values.reshape(len(values), -1)
    squares, below, above = x * x, x < 0, x > 0
    left, right = (np.sqrt((squares * part).sum(1) / np.maximum(part.sum(1), 1)) for part in (below, above))
    with np.errstate(invalid="ignore", divide="ignore"):
        flatness = np.abs(x).mean(1) ** 2 / squares.mean(1)
        ratio = flatness * (left**3 + right**3) * (left + right) / (left**2 + right**2) ** 2
    known = np.isfinite(ratio)
    after = np.clip(np.searchsorted(_RATIOS, np.where(known, ratio, 0.0)), 1, len(_RATIOS) - 1)
    nearest = after - (ratio - _RATIOS[after - 1] <= _RATIOS[after] - ratio)
    shape, width, mean = (np.where(known, table[nearest], np.nan) for table in (_SHAPES, _WIDTHS, _MEANS))
    left, right = left * width, right * width
    return shape, left, right, (right - left) * mean
