"""The formats of manifests by file suffix: built-in ones, and those of installed packages."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from sora_eval.registry.registry import Registry


@dataclass(frozen=True)
class FormatInfo:
    """A format of manifests; `target`, `module:function`, names a function from a path to a `pandas.DataFrame`."""

    about: str
    target: str


_BUILT_IN = {
    "jsonl": FormatInfo("JSON lines, an object per clip", "sora_eval.formats.manifests:read_jsonl"),
    "json": FormatInfo("a JSON list, an object per clip", "sora_eval.formats.manifests:read_json"),
    "csv": FormatInfo("comma-separated values with a header", "sora_eval.formats.manifests:read_csv"),
    "tsv": FormatInfo("tab-separated values with a header", "sora_eval.formats.manifests:read_tsv"),
    "parquet": FormatInfo("Parquet", "sora_eval.formats.manifests:read_parquet"),
}


def info_of_reader(suffix: str, target: str, reader: Any) -> FormatInfo:
    """The record of a format that a package adds: a function `read(path) -> DataFrame`. Raises ValueError if not callable."""
    if not callable(reader):
        raise ValueError(f"expected a function from a path to a pandas.DataFrame, found {type(reader).__name__}")
    return FormatInfo((inspect.getdoc(reader) or suffix).partition("\n")[0], target)


FORMATS = Registry("format", "sora_eval.formats", _BUILT_IN, info_of_reader)
