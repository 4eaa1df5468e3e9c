"""Edits of suite files in place that keep comments and order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.items

from sora_eval.suite import Gate
from sora_eval.util.errors import SuiteError
from sora_eval.util.files import read_bounded, write_atomic


def _inline(values: Mapping[str, Any]) -> tomlkit.items.InlineTable:
    table = tomlkit.inline_table()
    table.update(values)
    return table


def write_design(path: Path, seeds: Sequence[int], limit: int, provenance: str) -> None:
    """Write [axes].seeds and [prompts].limit into a suite file, `provenance` as the comment of both; the rest is unchanged.

    Raises SuiteError if the file cannot be read or written.
    """
    try:
        document: Any = tomlkit.parse(read_bounded(path))
        for table, key, value in (("axes", "seeds", list(seeds)), ("prompts", "limit", limit)):
            if document[table].get(key) != value:
                document[table][key] = tomlkit.item(value).comment(provenance)
        write_atomic(path, tomlkit.dumps(document))
    except OSError as error:
        raise SuiteError(f"{path} cannot be written: {error.strerror}") from error


def write_gates(path: Path, gates: Mapping[str, Gate]) -> None:
    """Write limits into the [gates] tables of a suite file; the rest of it, with comments, is unchanged.

    Raises SuiteError if the file cannot be read or written.
    """
    try:
        document = tomlkit.parse(read_bounded(path))
        if "gates" not in document:
            document["gates"] = tomlkit.table(is_super_table=True)
        tables: Any = document["gates"]
        for metric, gate in gates.items():
            if metric not in tables:
                tables[metric] = tomlkit.table()
            table: Any = tables[metric]
            for key in ("max_increase", "max_decrease", "min_change", "provenance", "repeats"):
                value = getattr(gate, key)
                if key == "repeats" and value is not None:
                    value = _inline(value.model_dump())
                if value or (value is not None and key.startswith("max_")):
                    table[key] = value
                elif key in table:
                    del table[key]
        write_atomic(path, tomlkit.dumps(document))
    except OSError as error:
        raise SuiteError(f"{path} cannot be written: {error.strerror}") from error
