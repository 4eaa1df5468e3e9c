"""Video folders of Hugging Face: `metadata.csv`, `.jsonl` or `.parquet` beside the clips, with the column `file_name`."""

from __future__ import annotations

from pathlib import PurePosixPath

from sora_eval.formats.layout import Captioned, Layout, Reading
from sora_eval.formats.manifest_rows import COLUMNS, manifest_row
from sora_eval.formats.tables import columns_of, records_of
from sora_eval.formats.tree import Tree
from sora_eval.util.errors import GeneratorError

NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
FILE_COLUMNS = ("file_name", "video_file_name")


def read(tree: Tree, asked: bool) -> Reading | None:
    """The clips that the tables list; a row whose file is missing is a clip, whose row says so."""
    tables = [f for f in tree.files if PurePosixPath(f).name in NAMES and columns_of(tree.root / f) & {*FILE_COLUMNS}]
    if not tables:
        return None
    entries = {entry.path: entry for entry in tree.clips}
    clips: list[Captioned] = []
    for table in tables:
        for number, record in enumerate(records_of(tree.root / table), 1):
            fields = {name: next((record[c] for c in aliases if c in record), None) for name, aliases in COLUMNS.items()}
            fields["path"] = next(record[c] for c in FILE_COLUMNS if c in record)
            row = manifest_row(tree.root / table, number, fields)
            path = str(PurePosixPath(table).parent / row.path)
            entry = entries.pop(path, None)
            seed = row.seed if fields["seed"] not in (None, "") else entry.seed if entry else None
            clips.append(Captioned(path, entry.key if entry else path, row.prompt, seed, row.prompt_id))
    if not clips:
        raise GeneratorError(f"{tree.root / tables[0]} lists no clips")
    without = (
        [f"{len(entries)} clips have no row in {tables[0]} and are left out: {', '.join([*entries][:3])}"] if entries else []
    )
    return Reading(clips, tables, without)


VIDEO_FOLDER = Layout("videofolder", "metadata.csv, .tsv, .jsonl or .parquet with the column file_name", read)
