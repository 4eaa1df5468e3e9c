"""Features files: vectors with the case ids of their rows, and what is true of them whoever wrote them. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.util.redaction import redact

Arrays = dict[str, npt.NDArray[Any]]
REFERENCE = "reference-"  # prefix of the files of the reference set
COLUMNS = ("ids", "values", "buckets", "clips")  # with an entry per row


def in_order(arrays: Arrays) -> Arrays:
    """The arrays with their rows sorted by case id, then by the hash of the clip, as readers see them.

    Permutations are drawn over rows, and sums of floats round by their order: neither may depend on the order in which a
    folder was read or clips were scored. Raises ValueError for columns of unequal length, KeyError without ids or values.

    >>> in_order({"ids": np.array(["b", "a"]), "values": np.array([[1.0], [2.0]]), "failed": np.array(["x", "y"])})
    {'ids': array(['a', 'b'], dtype='<U1'), 'values': array([[2.],
           [1.]]), 'failed': array(['x', 'y'], dtype='<U1')}
    """
    number = len(arrays["values"])
    if uneven := [f"{len(arrays[name])} {name}" for name in COLUMNS if name in arrays and len(arrays[name]) != number]:
        raise ValueError(f"{uneven[0]} for {number} vectors")
    order = np.lexsort((arrays.get("clips", arrays["ids"]), arrays["ids"]))
    return {name: value[order] if name in COLUMNS else value for name, value in arrays.items()}


def without_secrets(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A further column as it may be written: text without secrets."""
    return column if column.dtype.kind != "U" else np.array([redact(t) for t in column.flat], np.str_).reshape(column.shape)
