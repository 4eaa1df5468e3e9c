"""Motion masks of the Physics-IQ benchmark (Motamed et al. 2025), frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

BLUR = (5, 5)
WEIGHT = 0.3  # of the newest frame in the running average
THRESHOLD = 10  # grey levels
KERNEL = np.ones((5, 5), np.uint8)
SIGNATURE = f"motion-masks|blur:{BLUR[0]}|average:{WEIGHT:g}|threshold:{THRESHOLD}|open-close:{len(KERNEL)}"

Frame = npt.NDArray[np.uint8]


def with_masks(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Frame]]:
    """Each RGB frame (H, W, 3) with its mask (H, W), 255 where it differs from the running average of the frames so far.

    The average starts as the blurred grey first frame, includes each frame before the comparison with it, and is rounded to
    bytes there, as in the published code. The first mask is empty.
    """
    average: npt.NDArray[np.float64] | None = None
    for frame in frames:
        gray = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), BLUR, 0)
        if average is None:
            average = gray.astype(np.float64)
            yield frame, np.zeros(gray.shape, np.uint8)
            continue
        cv2.accumulateWeighted(gray, average, WEIGHT)
        difference = cv2.absdiff(gray, cv2.convertScaleAbs(average))
        mask = cv2.threshold(difference, THRESHOLD, 255, cv2.THRESH_BINARY)[1]
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, KERNEL)
        yield frame, np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, KERNEL), np.uint8)
