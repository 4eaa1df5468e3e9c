"""Tables that list clips or prompts, one row per clip, with the columns of the file; text is UTF-8, with or without a
byte-order mark, and lines end in LF or CRLF.

Values are those of the file: text that looks like a number or a date stays text, and a seed stays exact.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from sora_eval.util.files import read_bounded
from sora_eval.util.sealed import parse_json


def read_jsonl(path: Path) -> pd.DataFrame:
    """The table of JSON lines, one object per clip. Raises ValueError for other text, with the line."""
    rows = []
    for number, line in enumerate(read_bounded(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = _object(parse_json(line, strict=True), line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def read_json(path: Path) -> pd.DataFrame:
    """The table of a JSON list, one object per clip. Raises ValueError for other text, with the number of the object."""
    data = parse_json(read_bounded(path), strict=True)
    if not isinstance(data, list):
        raise ValueError(f"expected a list of JSON objects, found {str(data)[:60]!r}")
    rows = []
    for number, row in enumerate(data, 1):
        try:
            rows.append(_object(row, str(row)))
        except ValueError as error:
            raise ValueError(f"object {number}: {error}") from error
    return pd.DataFrame(rows, dtype=object)


def _object(row: Any, text: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, found {text[:60]!r}")
    if isinstance(row.get("prompt_id"), float):  # 1e5 and 100000.0 are two ids and one number
        raise ValueError(f"prompt_id is the number {row['prompt_id']}; expected text, in quotes")
    return row


def read_csv(path: Path) -> pd.DataFrame:
    """The table of comma-separated values with a header, all of them text. Raises ValueError for other text."""
    return _separated(path, ",")


def read_tsv(path: Path) -> pd.DataFrame:
    """The table of tab-separated values with a header, all of them text. Raises ValueError for other text."""
    return _separated(path, "\t")


def _separated(path: Path, separator: str) -> pd.DataFrame:
    read_bounded(path)
    table = pd.read_csv(path, sep=separator, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    header, rows = table.iloc[0], table.iloc[1:].reset_index(drop=True)
    rows.columns = pd.Index(header.tolist())
    return rows


def read_parquet(path: Path) -> pd.DataFrame:
    """The table of a parquet file. Raises ValueError or OSError for another file."""
    return pd.read_parquet(path, dtype_backend="numpy_nullable")  # whole numbers beside missing ones stay exact
