"""Image to video and continuation: the first frames of a clip against those that it was to begin with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.util.errors import Undefined

WINDOW, SIGMA = 11, 1.5  # px, of SSIM's Gaussian

Frames = npt.NDArray[np.uint8]


class FirstFrameFidelity(ClipMetric):
    """Distance of a clip's first frames from the frames that it was to begin with, mean over these.

    rmse: root mean squared difference of intensities from 0 to 1. dssim: (1 - SSIM) / 2 with the structural similarity of Wang
    et al. 2004 (Gaussian window of 11 px and sigma 1.5, mean over the channels of RGB). 0 is the same picture in both. The
    details have each frame's, and of rmse the PSNR (dB) of all of them.
    """

    outputs = (
        Output("first_frame_fidelity.rmse", "intensity", False, "0 to 1", (0.0, 1.0)),
        Output("first_frame_fidelity.dssim", "1", False, "0 to 1", (0.0, 1.0)),
    )
    signature = f"first_frame_fidelity|rgb|dssim:gauss{WINDOW}-{SIGMA:g}-valid"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        given, frames = given_of(view)
        return {f"first_frame_fidelity.{name}": score for name, score in distances(frames, given).items()}


def given_of(view: ClipView) -> tuple[Frames, Frames]:
    """The given frames (n, H, W, 3) of a clip, and the clip's own in their place. Raises Undefined without any, for another
    size, and for a clip with fewer frames."""
    given, frames = view.given, view.clip.frames
    if given is None or not len(given):
        raise Undefined("the clip was given no first frames: [generate].first_frames, or an image or video of its prompt, does")
    if given.shape[1:] != frames.shape[1:]:
        sizes = (f"{size[2]}x{size[1]}" for size in (frames.shape, given.shape))
        raise Undefined("the clip is of {} px, its given first frames of {}".format(*sizes))
    if len(frames) < len(given):
        raise Undefined(f"the clip has {len(frames)} frames and was given {len(given)}")
    return given, frames[: len(given)]


def distances(frames: Frames, given: Frames) -> dict[str, Score]:
    """rmse and dssim of frames (n, H, W, 3) and the `given` ones; see `FirstFrameFidelity`. dssim has no value for frames that
    are smaller than its window.

    >>> black, grey = np.zeros((1, 16, 16, 3), np.uint8), np.full((1, 16, 16, 3), 51, np.uint8)
    >>> scores = distances(grey, black)
    >>> round(scores["rmse"].value, 6), scores["rmse"].detail["psnr_db"], round(scores["dssim"].value, 4)
    (0.2, 13.979, 0.4988)
    """
    a, b = (f.astype(np.float64) / 255 for f in (frames, given))
    squares = np.square(a - b).mean((1, 2, 3))  # (n,)
    whole = float(squares.mean())
    psnr = {"psnr_db": round(-10 * float(np.log10(whole)), 3)} if whole else {}
    rmse = Score(float(np.sqrt(squares).mean()), detail={"frames": _rounded(np.sqrt(squares)), **psnr})
    if min(frames.shape[1:3]) < WINDOW:
        return {"rmse": rmse, "dssim": Score(None, f"SSIM needs {WINDOW} px on both sides")}
    seen, wanted = (torch.from_numpy(x).permute(0, 3, 1, 2) for x in (a, b))  # (n, 3, H, W)
    _, whole_map = structural_similarity_index_measure(
        seen, wanted, sigma=SIGMA, kernel_size=WINDOW, reduction="none", data_range=1.0, return_full_image=True
    )
    # As published, of windows that lie in the picture; torchmetrics means over mirrored edges too.
    edge = WINDOW // 2
    ssim = np.asarray(whole_map, np.float64)[:, :, edge:-edge, edge:-edge].mean((1, 2, 3))  # (n,)
    dssim = (1 - ssim) / 2
    return {"rmse": rmse, "dssim": Score(float(dssim.mean()), detail={"frames": _rounded(dssim)})}


def _rounded(values: npt.ArrayLike) -> list[float]:
    return [round(float(v), 6) for v in np.asarray(values)]
