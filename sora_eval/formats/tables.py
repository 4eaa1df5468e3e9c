"""Tables beside clips: which columns they have, and their rows as plain values."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath
from typing import Any

from sora_eval.formats.manifest_rows import plain
from sora_eval.formats.tree import Tree
from sora_eval.registry.formats import FORMATS
from sora_eval.util.errors import GeneratorError, RegistryError, line_of
from sora_eval.video.codec import VIDEO_SUFFIXES

TABLE_SUFFIXES = tuple(f".{name}" for name in FORMATS.built_in)


def tables_of(tree: Tree, *columns: str) -> list[str]:
    """The tables of a tree's root that have all `columns`."""
    at_root = [f for f in tree.files if "/" not in f and PurePosixPath(f).suffix.lower() in TABLE_SUFFIXES]
    return [f for f in at_root if set(columns) <= columns_of(tree.root / f)]


def columns_of(path: Path) -> set[str]:
    """The columns of a table, from its beginning where its kind allows it; none of a file that is no table."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return set(pq.read_schema(path).names)
        if suffix in (".csv", ".tsv"):
            with path.open(encoding="utf-8-sig", newline="") as file:
                return set(next(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","), []))
        return {str(c) for c in table_of(path).columns}
    except (OSError, ValueError, csv.Error, GeneratorError):
        return set()


def table_of(path: Path) -> Any:
    """The `pandas.DataFrame` of a table of any format. Raises GeneratorError for a file that is none."""
    suffix = path.suffix[1:] if path.suffix[1:] in FORMATS else path.suffix[1:].lower()
    if suffix not in FORMATS:
        suffixes = ", ".join(f".{name}" for name in [*FORMATS.built_in, *FORMATS.third_party()])
        fix = f"; for a clip, name its folder: folder:{path.parent}" if path.suffix.lower() in VIDEO_SUFFIXES else ""
        raise GeneratorError(f"folder:{path}: a manifest is a {suffixes} file{fix}")
    try:
        read = FORMATS.load(suffix)
    except RegistryError as error:
        raise GeneratorError(f"folder:{path}: {error}") from error
    try:
        table = read(path)
    except Exception as error:
        raise GeneratorError(f"{path} cannot be read as a {suffix} table: {line_of(error)}") from error
    if repeated := [str(c) for c in table.columns[table.columns.duplicated()]]:
        raise GeneratorError(f"{path} has two columns {repeated[0]!r}; expected one")
    return table


def records_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a table by column; a missing value is None. Raises GeneratorError."""
    return [{str(k): plain(v) for k, v in row.items()} for row in table_of(path).to_dict("records")]


def text_of(value: Any, where: str) -> str:
    """The text of a cell; '' for a missing one. Raises GeneratorError, which names `where`, for a list or a table."""
    if value is None:
        return ""
    if isinstance(value, (str, int)):
        return str(value)
    raise GeneratorError(f"{where} = {value!r:.80}; expected text")
