"""The console that tables are printed on."""

from __future__ import annotations

from rich.console import Console

PLAIN_WIDTH = 118  # columns where the output is no terminal


def console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=PLAIN_WIDTH)
