"""The console that tables and lines are printed on."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.text import Text

from sora_eval.util.terminal import Terminal, has_width, is_wide
from sora_eval.util.visible import width_of

PLAIN_WIDTH = 80  # columns of a table where the output is no terminal
WIDE = 1000  # columns of --wide
MOST_NOTES = 5  # lines of notes after a table


def console() -> Terminal:
    """Standard output, as wide as the terminal; elsewhere as $SORA_EVAL_COLUMNS says, or PLAIN_WIDTH; WIDE with --wide."""
    if is_wide():
        return Terminal(width=WIDE)
    out = Terminal()
    return out if out.is_terminal else Terminal(width=width_of(sys.stdout) or PLAIN_WIDTH)


def line(out: Terminal, text: str | Text, style: str = "") -> None:
    """Print a note or a message: broken between words where the width is known, in one line where a program reads it."""
    out.print(text, style=style or None, soft_wrap=not _is_broken(out))


def notes(out: Terminal, texts: Sequence[str], style: str, all_of_them: str = "") -> None:
    """Print notes in at most MOST_NOTES lines, or all without `all_of_them`, the command that prints them."""
    if not all_of_them:
        for text in texts:
            line(out, text, style)
        return
    broken = _is_broken(out)
    lines = [len(Text(text).wrap(out, out.width)) if broken else 1 for text in texts]
    if sum(lines) <= MOST_NOTES:
        return notes(out, texts, style)
    for text in texts[: MOST_NOTES - 1]:
        short = Text(" ".join(text.split()))
        if broken:
            short.truncate(out.width, overflow="ellipsis")
        line(out, short, style)
    more = len(texts) - (MOST_NOTES - 1)
    whole = f"{more} more notes" if more > 0 else "the notes in full"
    line(out, f"{whole}: {all_of_them}", style)


def _is_broken(out: Terminal) -> bool:
    return not is_wide() and has_width(out)
