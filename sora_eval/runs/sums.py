"""The sums of a run that is under way: one of every row and file that was written, so that what changed since is no part of it.

A run that has ended records digests of its whole files instead, see `RunFolder.finish`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sora_eval.util.files import append_lines, cut_torn_line, write_atomic
from sora_eval.util.sealed import file_digest

FILE = "written.sums"


def row_sum(table: str, line: str) -> str:
    """The sum of a row of a table, from its line without the newline.

    >>> row_sum("scores.jsonl", '{"id": "a"}') == row_sum("oracles.jsonl", '{"id": "a"}')
    False
    """
    return _sum(table, line.encode())


def file_sum(name: str, path: Path) -> str:
    """The sum of a whole file, `name` in its run. Raises OSError."""
    return _sum(name, file_digest(path).encode())


def _sum(name: str, content: bytes) -> str:
    return hashlib.sha256(name.encode() + b"\0" + content).hexdigest()[:16]


class Sums:
    """The sums of one run folder. A sum is written before what it is of: a kill between the two leaves one too many."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    @property
    def exist(self) -> bool:
        """Whether the run keeps sums: it is under way, and was written by a version that knows them."""
        return self._path.exists()

    def start(self, sums: Iterable[str]) -> None:
        """Keep sums from now on, beginning with these; those that exist already go on. Raises OSError."""
        if self.exist:
            cut_torn_line(self._path)
        else:
            write_atomic(self._path, _lines(sums))

    def add(self, sums: Iterable[str]) -> None:
        """Add sums of what is about to be written. Raises OSError."""
        if self.exist:
            append_lines(self._path, _lines(sums))

    def all(self) -> frozenset[str] | None:
        """All sums; None where the run keeps none. Raises OSError."""
        return frozenset(self._path.read_bytes().decode(errors="replace").split("\n")) if self.exist else None

    def end(self) -> None:
        """Keep no more sums: the digests of the run's files take their place."""
        with suppress(FileNotFoundError):
            self._path.unlink()


def _lines(sums: Iterable[str]) -> str:
    return "".join(f"{s}\n" for s in sums)
