"""Panda-70M: a table with the columns `videoID`, `timestamp` and `caption`, the last two lists with an entry per part of a
video, and files `VIDEOID_PART.mp4`, counted from 0."""

from __future__ import annotations

import ast
from typing import Any

from sora_eval.formats.data_set import DataSet, Record
from sora_eval.formats.tables import text_of
from sora_eval.formats.tree import Tree
from sora_eval.util.errors import GeneratorError


def captions(record: Record, where: str) -> dict[str, str]:
    """The captions of a row's parts by the stems of their files. Raises GeneratorError for lists of other lengths."""
    video = text_of(record["videoID"], f"{where}: videoID")
    texts, times = (_parts(record[column], f"{where}: {column}") for column in ("caption", "timestamp"))
    if len(texts) != len(times):
        raise GeneratorError(f"{where}: {len(texts)} captions and {len(times)} timestamps; expected as many")
    return {f"{video}_{part}": text_of(text, f"{where}: caption") for part, text in enumerate(texts)}


def _parts(value: Any, where: str) -> list[Any]:
    """The list that a cell holds, as text in a CSV file."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise GeneratorError(f"{where} = {value[:80]!r}; expected a list") from None
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list):
        raise GeneratorError(f"{where} = {value!r:.80}; expected a list")
    return value


class Panda(DataSet):
    """Panda-70M, in which a part that no row has is an error: files that count from 1 would have the captions of others."""

    def all_captions(self, tree: Tree, table: str) -> dict[str, str]:
        """As in `DataSet`. Raises GeneratorError for a clip of a part that its video has not."""
        texts = super().all_captions(tree, table)
        for entry in tree.clips:
            video, _, part = entry.stem.rpartition("_")
            if part.isdigit() and f"{video}_0" in texts and entry.stem not in texts:
                raise GeneratorError(
                    f"{tree.root / table} has no part {part} of the video {video}, and {entry.path} is one; expected parts "
                    "that count from 0"
                )
        return texts


PANDA = Panda(
    "panda",
    "a table with the columns videoID, timestamp and caption, and files VIDEOID_PART.mp4, counted from 0",
    ("videoID", "timestamp", "caption"),
    captions,
).layout
