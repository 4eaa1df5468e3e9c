"""VidProM: a table with the columns `uuid` and `prompt`, and files `MODEL-UUID.mp4` or `UUID.mp4`."""

from __future__ import annotations

from collections.abc import Iterator

from sora_eval.formats.data_set import DataSet, Record
from sora_eval.formats.tables import text_of
from sora_eval.formats.tree import ClipEntry


def captions(record: Record, where: str) -> dict[str, str]:
    """The prompt of a row by its uuid."""
    return {text_of(record["uuid"], f"{where}: uuid"): text_of(record["prompt"], f"{where}: prompt")}


def keys(entry: ClipEntry) -> Iterator[str]:
    """The stem of a clip, and what is left of it without the model's name."""
    yield entry.stem
    yield entry.stem.partition("-")[2]


VIDPROM = DataSet(
    "vidprom", "a table with the columns uuid and prompt, and files MODEL-UUID.mp4", ("uuid", "prompt"), captions, keys
).layout
