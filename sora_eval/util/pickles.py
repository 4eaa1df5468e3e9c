"""Torch reads files of other people without executing what is pickled in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch's own


@contextmanager
def weights_only() -> Iterator[None]:
    """Inside, `torch.load` takes tensors and plain values from pickles and raises for all else, whatever a library asks for."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before
