"""Tables of data sets: one row per source, whose clips are the files that its key names, wherever they lie below the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sora_eval.formats.layout import Captioned, Layout, Reading
from sora_eval.formats.tables import columns_of, records_of, tables_of
from sora_eval.formats.tree import ClipEntry, Tree
from sora_eval.util.errors import GeneratorError

Record = dict[str, Any]


@dataclass(frozen=True)
class DataSet:
    """A data set's table.

    It has all `columns`; `captions` gives the captions of a row by the stems of their clips (the where of messages is the last
    argument). `keys` gives the keys that a clip's stem may stand for.
    """

    name: str
    about: str
    columns: tuple[str, ...]
    captions: Callable[[Record, str], dict[str, str]]
    keys: Callable[[ClipEntry], Iterable[str]] = lambda entry: (entry.stem,)

    @property
    def layout(self) -> Layout:
        """The layout of the data set."""
        return Layout(self.name, self.about, self.read, self.read_table)

    def read(self, tree: Tree, asked: bool) -> Reading | None:
        """The clips with a row in the first table that is one of this data set."""
        tables = tables_of(tree, *self.columns)
        return self.read_table(tree, tables[0]) if tables else None

    def read_table(self, tree: Tree, table: str) -> Reading | None:
        """The clips with a row in a table; None for one of other columns. Raises GeneratorError where no clip has one."""
        path = tree.root / table
        if not {*self.columns} <= columns_of(path):
            return None
        captions = self.all_captions(tree, table)
        clips = [(e, next((captions[k] for k in self.keys(e) if k in captions), None)) for e in tree.clips]
        listed = [Captioned.of(entry, text) for entry, text in clips if text is not None]
        if not listed:
            found = f"for example {tree.clips[0].path}" if tree.clips else "and there are none"
            raise GeneratorError(
                f"{path} is a table of {self.name}, and no row is of a clip below {tree.root}, {found}; expected {self.about}"
            )
        without = [entry.path for entry, text in clips if text is None]
        note = [f"{len(without)} clips have no row in {table} and are left out: {', '.join(without[:3])}"] if without else []
        return Reading(listed, [table], note)

    def all_captions(self, tree: Tree, table: str) -> dict[str, str]:
        """The captions of all rows of a table by the stems of their clips. Raises GeneratorError."""
        captions: dict[str, str] = {}
        for number, record in enumerate(records_of(tree.root / table), 1):
            captions |= self.captions(record, f"{tree.root / table}, row {number}")
        return captions
