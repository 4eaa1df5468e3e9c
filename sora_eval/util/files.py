"""Files that are whole or not there: atomic writes, and tables of JSON lines that a kill leaves readable."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text beside its place, then rename it there. Raises OSError."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def append_lines(path: Path, lines: str) -> None:
    """Add whole lines in one write, flushed to the disk. Raises OSError."""
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def whole_lines(path: Path) -> list[str]:
    """The lines of a table; a last one without its end was torn by a kill and does not count. Empty without the file."""
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def cut_torn_line(path: Path) -> None:
    """Cut off what a kill left unfinished."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        write_atomic(path, whole.decode())
