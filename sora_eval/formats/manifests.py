"""Manifests that list clips and their prompts, a row per clip, as tables with the columns of the file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def read_jsonl(path: Path) -> pd.DataFrame:
    """JSON lines, an object per clip."""
    return pd.read_json(path, lines=True)


def read_csv(path: Path) -> pd.DataFrame:
    """Comma-separated values with a header."""
    return pd.read_csv(path)


def read_parquet(path: Path) -> pd.DataFrame:
    """Parquet."""
    return pd.read_parquet(path)
