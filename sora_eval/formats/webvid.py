"""WebVid: a table with the columns `videoid`, `name` (the caption) and `page_dir`, and files `PAGE_DIR/VIDEOID.mp4`."""

from __future__ import annotations

from sora_eval.formats.data_set import DataSet, Record
from sora_eval.formats.tables import text_of


def captions(record: Record, where: str) -> dict[str, str]:
    """The caption of a row by its id."""
    return {text_of(record["videoid"], f"{where}: videoid"): text_of(record["name"], f"{where}: name")}


WEBVID = DataSet(
    "webvid", "a table with the columns videoid and name, and files VIDEOID.mp4", ("videoid", "name"), captions
).layout
