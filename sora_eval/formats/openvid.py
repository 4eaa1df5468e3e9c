"""OpenVid-1M: a table with the columns `video` (a file name) and `caption`, and the files."""

from __future__ import annotations

from pathlib import PurePosixPath

from sora_eval.formats.data_set import DataSet, Record
from sora_eval.formats.tables import text_of


def captions(record: Record, where: str) -> dict[str, str]:
    """The caption of a row by the stem of its file."""
    file = PurePosixPath(text_of(record["video"], f"{where}: video"))
    return {file.stem: text_of(record["caption"], f"{where}: caption")}


OPENVID = DataSet(
    "openvid", "a table with the columns video and caption, and the files it names", ("video", "caption"), captions
).layout
