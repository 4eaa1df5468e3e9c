"""Manifests that list clips and their prompts, one row per clip, as tables with the columns of the file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def read_jsonl(path: Path) -> pd.DataFrame:
    """The table of JSON lines, one object per clip. Raises ValueError for other text."""
    return pd.read_json(path, lines=True)


def read_csv(path: Path) -> pd.DataFrame:
    """The table of comma-separated values with a header. Raises ValueError for other text."""
    return pd.read_csv(path)


def read_parquet(path: Path) -> pd.DataFrame:
    """The table of a parquet file. Raises ValueError or OSError for another file."""
    return pd.read_parquet(path)
