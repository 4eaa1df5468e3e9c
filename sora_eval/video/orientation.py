"""Display matrices: how a player turns and mirrors the stored pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def turned(picture: npt.NDArray[np.uint8], matrix: Sequence[int]) -> npt.NDArray[np.uint8] | None:
    """A picture (H, W, 3) as shown; `matrix` are the nine numbers of ISO/IEC 14496-12 (a, b, u, c, d, v, x, y, w), by which
    the stored place (x, y) is shown at (a x + c y, b x + d y). None for a turn by other angles than quarters.

    >>> turned(np.arange(2, dtype=np.uint8).reshape(1, 2, 1), (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)).shape
    (2, 1, 1)
    """
    a, b, _, c, d = matrix[:5]
    if a and d and not (b or c):
        return picture[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]
    if b and c and not (a or d):
        return picture.transpose(1, 0, 2)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]
    return None
