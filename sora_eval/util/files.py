"""Atomic writes, and tables of JSON lines that stay readable after a kill."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOST_BYTES = 1 << 28  # of a text file; the largest baseline so far has 2 % of it
MOST_BYTES_OF_TABLE = 1 << 32  # about ten million rows


def read_bounded(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8, without a byte-order mark.

    Raises OSError, and ValueError for other kinds, more than `most` bytes and other text.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError(f"expected a file, found {'a folder' if stat.S_ISDIR(facts.st_mode) else 'another kind of entry'}")
    if facts.st_size > most:
        raise ValueError(f"{facts.st_size} bytes; expected at most {most}")
    try:
        return path.read_bytes().decode().removeprefix("\ufeff")  # the mark of some editors
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is {error.object[error.start]:#04x}; expected text in UTF-8") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write into; it takes the place of `path`, or vanishes where writing fails."""
    partial = path.with_name(path.name + ".part")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text to a file beside `path`, then rename it to `path`. Raises OSError."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def append_lines(path: Path, lines: str) -> None:
    """Append whole lines, all or none, flushed to the disk; the file is created if needed. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        size, data = file.seek(0, os.SEEK_END), memoryview(lines.encode())
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except BaseException:  # half of a case's rows would pass for all of them
            file.truncate(size)
            raise


def whole_lines(path: Path) -> list[str]:
    """The lines of a table that end in a newline: a kill can tear the last one. Empty without the file.

    Raises OSError, and ValueError as `read_bounded`, for more than 4 GB.
    """
    return read_bounded(path, MOST_BYTES_OF_TABLE).split("\n")[:-1] if path.exists() else []


def cut_torn_line(path: Path) -> None:
    """Cut off a last line without a newline, which a kill left behind. Raises OSError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "rows.jsonl"
    ...     _ = table.write_bytes(b'{"id": 1}\\n{"id"')
    ...     cut_torn_line(table)
    ...     table.read_bytes()
    b'{"id": 1}\\n'
    """
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        with replacing(path) as partial:
            partial.write_bytes(whole)
