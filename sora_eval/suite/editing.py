"""Edits suite files in place: comments and order stay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from sora_eval.suite import Gate
from sora_eval.util.errors import SuiteError


def write_gates(path: Path, gates: Mapping[str, Gate]) -> None:
    """Put limits into the [gates] tables of a suite file; everything else in it, comments too, stays as it is."""
    try:
        document = tomlkit.parse(path.read_text())
        if "gates" not in document:
            document["gates"] = tomlkit.table(is_super_table=True)
        tables: Any = document["gates"]
        for metric, gate in gates.items():
            if metric not in tables:
                tables[metric] = tomlkit.table()
            table: Any = tables[metric]
            for key in ("max_increase", "max_decrease", "floor", "provenance"):
                value = getattr(gate, key)
                if value or (value is not None and key.startswith("max_")):
                    table[key] = value
                elif key in table:
                    del table[key]
        partial = path.with_suffix(".part")
        partial.write_text(tomlkit.dumps(document))
        os.replace(partial, path)
    except OSError as error:
        raise SuiteError(f"{path} cannot be written: {error.strerror}") from error
