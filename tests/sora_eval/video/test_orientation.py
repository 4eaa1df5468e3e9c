"""Display matrices of the eight ways to turn and mirror a picture."""

import itertools

import numpy as np
import pytest

from sora_eval.video.orientation import turned

ONE = 1 << 16


@pytest.mark.parametrize(("swapped", "x", "y"), list(itertools.product([False, True], [1, -1], [1, -1])))
def test_every_pixel_is_where_the_matrix_puts_it(swapped, x, y, rng):
    picture = rng.integers(0, 256, (3, 5, 3), np.uint8)
    a, b, c, d = (0, y * ONE, x * ONE, 0) if swapped else (x * ONE, 0, 0, y * ONE)
    places = [((a * j + c * i) // ONE, (b * j + d * i) // ONE) for i in range(3) for j in range(5)]
    left, top = min(p[0] for p in places), min(p[1] for p in places)
    expected = np.zeros((5, 3, 3) if swapped else (3, 5, 3), np.uint8)
    for (column, row), pixel in zip(places, picture.reshape(-1, 3), strict=True):
        expected[row - top, column - left] = pixel
    assert np.array_equal(turned(picture, (a, b, 0, c, d, 0, 0, 0, 1 << 30)), expected)


def test_other_angles_are_not_applied():
    assert turned(np.zeros((2, 2, 3), np.uint8), (46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)) is None
