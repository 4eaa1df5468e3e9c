"""Text of strangers in a terminal: control characters are shown, never sent."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from typing import TextIO

# C0 without tab and newline, DEL and C1; marks that turn the direction of text; separators of lines; halves of surrogate
# pairs, which are the bytes of file names that are not UTF-8; tags, which cannot be seen.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""The text with every control character as its escape; tabs and newlines stay.

    >>> print(visible("\x1b]0;title\x07 \u202e"))
    \x1b]0;title\x07 \u202e
    """
    return _HIDDEN.sub(_escaped, text)


def is_unicode(text: str) -> bool:
    r"""Whether a text can be written as UTF-8: a file name of other bytes cannot.

    >>> is_unicode("a"), is_unicode("\udce9")
    (True, False)
    """
    return not any("\ud800" <= c <= "\udfff" for c in text)


def encodable(text: str) -> str:
    r"""The text with what cannot be written as UTF-8 as its escape.

    >>> print(encodable("caf\udce9"))
    caf\udce9
    """
    return text.encode("utf-8", "backslashreplace").decode()


def width_of(stream: TextIO) -> int | None:
    """The columns that lines are broken to: of a terminal, or where the output is none those that $SORA_EVAL_COLUMNS asks for.

    $COLUMNS asks for nothing: libraries set it for their child processes, whose output a program reads.
    """
    asked = os.environ.get("SORA_EVAL_COLUMNS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return shutil.get_terminal_size().columns if stream.isatty() else None


def say(text: object = "", *, err: bool = False, message: bool = False) -> None:
    """Print a text to standard output, or to standard error, as `visible` shows it. A `message`, and all of standard error,
    goes on in another line where the output has a width."""
    shown, stream = visible(str(text)), sys.stderr if err else sys.stdout
    width = width_of(stream) if err or message else None
    if width:
        shown = "\n".join(_broken(line, width) for line in shown.split("\n"))
    print(shown, file=stream, flush=True)


def _broken(line: str, width: int) -> str:
    return textwrap.fill(line, width, break_on_hyphens=False) if line else line


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
