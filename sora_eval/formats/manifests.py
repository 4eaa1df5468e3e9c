"""Manifests that list clips and their prompts, one row per clip, as tables with the columns of the file.

Values are those of the file: text that looks like a number or a date stays text, and a seed stays exact.
"""

from __future__ import annotations

from pathlib import Path

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
            row = parse_json(line, strict=True)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: expected a JSON object, found {line[:60]!r}")
        if isinstance(row.get("prompt_id"), float):  # 1e5 and 100000.0 are two ids and one number
            raise ValueError(f"line {number}: prompt_id is the number {row['prompt_id']}; expected text, in quotes")
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def read_csv(path: Path) -> pd.DataFrame:
    """The table of comma-separated values with a header, all of them text. Raises ValueError for other text."""
    read_bounded(path)
    table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    header, rows = table.iloc[0], table.iloc[1:].reset_index(drop=True)
    rows.columns = pd.Index(header.tolist())
    return rows


def read_parquet(path: Path) -> pd.DataFrame:
    """The table of a parquet file. Raises ValueError or OSError for another file."""
    return pd.read_parquet(path, dtype_backend="numpy_nullable")  # whole numbers beside missing ones stay exact
