"""Random 0/1 draws by the thousand, kept eight to a byte and used in parts, so that they do not fill the memory. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
AT_A_TIME = 1 << 20  # numbers: 10^4 draws of 10^4 clusters, all at once, are 0.8 GB


def packed(parts: Iterable[npt.NDArray[np.bool_]]) -> Bits:
    """Rows of draws (rows, n), given in parts, a bit each; a row ends at a whole byte.

    >>> packed([np.array([[True, False, True]])]).tolist()
    [[5]]
    """
    return np.concatenate([np.packbits(part, axis=1, bitorder="little") for part in parts])


def unpacked(bits: Bits, n: int, at_a_time: int = AT_A_TIME) -> Iterator[npt.NDArray[np.uint8]]:
    """The rows (rows, n), 0 or 1, in parts of at most `at_a_time` numbers, or of one row.

    >>> [part.tolist() for part in unpacked(np.array([[5], [2]], np.uint8), 3, at_a_time=3)]
    [[[1, 0, 1]], [[0, 1, 0]]]
    """
    for start, stop in parts_of(len(bits), n, at_a_time):
        yield np.unpackbits(bits[start:stop], axis=1, count=n, bitorder="little")


def parts_of(rows: int, n: int, at_a_time: int = AT_A_TIME) -> Iterator[tuple[int, int]]:
    """First and last row, the latter excluded, of parts of at most `at_a_time` numbers of rows of n, or of one row.

    >>> list(parts_of(5, 10, at_a_time=20))
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, at_a_time // n)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
