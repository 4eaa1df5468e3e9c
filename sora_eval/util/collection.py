"""Python's collector of cycles, held while many objects without cycles are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: each goes over every object that is alive, so that many rows cost more than few, row by
    row. What is no longer referred to is freed as always. Of several threads, the first to enter turns the search on again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
