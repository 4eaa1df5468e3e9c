"""The console that tables are printed on."""

from __future__ import annotations

from sora_eval.util.terminal import Terminal

PLAIN_WIDTH = 118  # columns where the output is no terminal


def console() -> Terminal:
    """Standard output, wide enough for a table where it is no terminal."""
    out = Terminal()
    return out if out.is_terminal else Terminal(width=PLAIN_WIDTH)
