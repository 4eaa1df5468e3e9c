"""Generated clips of Physics-IQ: `0001_perspective-left_trimmed-ball-and-block-fall.mp4`, and `descriptions.csv`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from sora_eval.formats.file_names import ids_of
from sora_eval.formats.layout import Captioned, Layout, Reading
from sora_eval.formats.tables import columns_of, records_of, text_of
from sora_eval.formats.tree import Tree

_NAME = re.compile(r"\d+_(?:[^/]+_)?perspective-[a-z]+_.+")
COLUMNS = ("generated_video_name", "description")


def read(tree: Tree, asked: bool) -> Reading | None:
    """The clips by the benchmark's names, which are the ids of their prompts; the descriptions, where they are beside them."""
    if not all(_NAME.fullmatch(entry.stem) for entry in tree.clips):
        return None
    tables = [f for f in tree.files if PurePosixPath(f).name == "descriptions.csv"]
    tables = [f for f in tables if {*COLUMNS} <= columns_of(tree.root / f)]
    texts = {}
    for table in tables[:1]:
        for number, record in enumerate(records_of(tree.root / table), 1):
            name, text = (text_of(record[c], f"{tree.root / table}, row {number}: {c}") for c in COLUMNS)
            texts[PurePosixPath(name).stem] = text
    ids = ids_of(e.key for e in tree.clips)
    clips = [Captioned.of(e, texts.get(e.stem, ""), ids[e.key]) for e in tree.clips]
    return Reading(clips, tables[:1])


PHYSICS_IQ = Layout("physics-iq", "the benchmark's names, such as 0001_perspective-left_trimmed-ball-fall.mp4", read)
