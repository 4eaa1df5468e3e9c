"""Fidelity in pixels: PSNR and SSIM of a clip against the clip of the same case in another run."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.features.view import ClipView
from sora_eval.metrics.base import Output, PairMetric, Score
from sora_eval.util.errors import Undefined

PEAK = 255
CEILING = 100.0  # dB: a squared error of 6.5e-6 per value, one step of 1 in a frame of 226 x 226 px
WINDOW, SIGMA = 11, 1.5  # px of SSIM's Gaussian (Wang et al. 2004)

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


class PSNR(PairMetric):
    """Peak signal-to-noise ratio, 10 log10(255^2 / MSE) in dB, of the whole clip, and `worst`, the lowest of a frame.

    0 to 100 dB, higher is closer. Identical clips would have an infinite PSNR, which no row can hold: values are capped at
    100 dB, below whose error of 6.5e-6 per value hardly two frames of 8 bits can lie without being equal. The exact `mse` is in
    the detail, with that of every frame; it is 0 for identical clips alone. Of several frames the errors are averaged, not the
    decibels, so that a broken frame is not outweighed by identical ones. Functional twins: `squared_errors`, `psnr`.
    """

    family = "fidelity"
    outputs = (
        Output("fidelity.psnr", "dB", True, "0 to 100; identical clips have 100", (0.0, CEILING)),
        Output("fidelity.psnr.worst", "dB", True, "0 to 100; identical clips have 100", (0.0, CEILING)),
    )
    signature = f"fidelity.psnr|rgb8|peak:{PEAK}|mse-of-all-frames|ceiling:{CEILING:g}"
    identical = {"fidelity.psnr": CEILING, "fidelity.psnr.worst": CEILING}  # noqa: RUF012

    def score(self, base: ClipView, new: ClipView) -> Mapping[str, Score]:
        errors = squared_errors(base.clip.frames, new.clip.frames)
        worst, mean = int(errors.argmax()), float(errors.mean())
        return {
            "fidelity.psnr": Score(psnr(mean), detail={"mse": mean, "mse_by_frame": errors.tolist()}),
            "fidelity.psnr.worst": Score(psnr(float(errors[worst])), detail={"frame": worst}),
        }


def squared_errors(base: Frames, new: Frames) -> Floats:
    """Mean squared error (T,) of each frame of two clips (T, H, W, 3), in grey levels squared; exact sums of integers.

    >>> squared_errors(np.zeros((1, 1, 1, 3), np.uint8), np.full((1, 1, 1, 3), 2, np.uint8)).tolist()
    [4.0]
    """
    values = base[0].size
    sums = [np.square(a.astype(np.int32) - b).sum(dtype=np.int64) for a, b in zip(base, new, strict=True)]
    return np.asarray(np.array(sums, np.float64) / values)


def psnr(mse: float) -> float:
    """10 log10(255^2 / mse) in dB, at most `CEILING`, which identical clips have.

    >>> psnr(0.0), round(psnr(1.0), 2)
    (100.0, 48.13)
    """
    return CEILING if mse == 0 else min(10 * math.log10(PEAK**2 / mse), CEILING)


class SSIM(PairMetric):
    """Structural similarity (Wang et al. 2004), mean over frames, and `worst`, that of the least similar frame.

    -1 to 1, higher is closer; 1 for identical clips. Gaussian window of 11 px and sigma 1.5, K1 = 0.01, K2 = 0.03, mean over
    the three channels and over the pixels whose window lies inside the frame, in float64: the published code's region, and
    scikit-image's with `gaussian_weights` and population covariance (torchmetrics reflects the borders and counts them).
    Frames smaller than the window have none. Functional twin: `similarities`.
    """

    family = "fidelity"
    outputs = (
        Output("fidelity.ssim", "1", True, "-1 to 1; identical clips have 1", (-1.0, 1.0)),
        Output("fidelity.ssim.worst", "1", True, "-1 to 1; identical clips have 1", (-1.0, 1.0)),
    )
    signature = f"fidelity.ssim|rgb8|gaussian:{WINDOW}px-1.5|k:0.01-0.03|valid|mean-of-frames"
    identical = {"fidelity.ssim": 1.0, "fidelity.ssim.worst": 1.0}  # noqa: RUF012

    def score(self, base: ClipView, new: ClipView) -> Mapping[str, Score]:
        values = similarities(base.clip.frames, new.clip.frames)
        worst = int(values.argmin())
        return {
            "fidelity.ssim": Score(float(values.mean()), detail={"by_frame": values.tolist()}),
            "fidelity.ssim.worst": Score(float(values[worst]), detail={"frame": worst}),
        }


def similarities(base: Frames, new: Frames) -> Floats:
    """SSIM (T,) of each frame of two clips (T, H, W, 3). Raises Undefined for sides below 11 px."""
    height, width = base.shape[1:3]
    if min(height, width) < WINDOW:
        raise Undefined(f"{width}x{height} px; the window of SSIM needs at least {WINDOW}x{WINDOW}")
    return np.array([_similarity(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(base, new, strict=True)])


def _similarity(a: Floats, b: Floats) -> float:
    """SSIM of two frames (H, W, 3)."""
    # One side after the other: torchmetrics' window of two dimensions takes a hundred times as long.
    kernel, edge = cv2.getGaussianKernel(WINDOW, SIGMA), WINDOW // 2
    moments = np.concatenate([a, b, a * a, b * b, a * b], axis=-1)  # (H, W, 15)
    blurred = np.asarray(cv2.sepFilter2D(moments, cv2.CV_64F, kernel, kernel), np.float64)
    means_a, means_b, squares_a, squares_b, products = np.split(blurred[edge:-edge, edge:-edge], 5, axis=-1)
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    both, each = means_a * means_b, means_a * means_a + means_b * means_b
    values = (2 * both + c1) * (2 * (products - both) + c2) / ((each + c1) * (squares_a + squares_b - each + c2))
    return min(float(values.mean()), 1.0)
