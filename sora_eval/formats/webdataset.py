"""Files that belong together by their name, as webdataset has them: `x.mp4`, `x.txt` (caption), `x.json` (facts)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from sora_eval.formats.layout import Captioned, Layout, Reading
from sora_eval.formats.manifest_rows import COLUMNS, LARGEST_SEED
from sora_eval.formats.tables import text_of
from sora_eval.formats.tree import ClipEntry, Tree
from sora_eval.util.errors import GeneratorError
from sora_eval.util.files import read_bounded
from sora_eval.util.sealed import read_json


def read(tree: Tree, asked: bool) -> Reading | None:
    """The caption of each clip from its text, else from prompt, caption or text of its JSON, and the seed from its JSON.

    Tried unasked where every clip has one of both.
    """
    files = {*tree.files}
    beside = {e.path: [f for f in (_beside(e, ".txt"), _beside(e, ".json")) if f in files] for e in tree.clips}
    if not any(beside.values()) or not (asked or all(beside.values())):
        return None
    clips = [_captioned(tree.root, entry, beside[entry.path]) for entry in tree.clips]
    if not asked and not any(clip.prompt for clip in clips):
        return None
    return Reading(clips, [f for files in beside.values() for f in files])


def _beside(entry: ClipEntry, suffix: str) -> str:
    path = PurePosixPath(entry.path)
    return str(path.with_suffix(suffix) if path.suffix else path.with_name(path.name + suffix)) if path.name else ""


def _captioned(root: Path, entry: ClipEntry, files: list[str]) -> Captioned:
    text, seed = "", entry.seed
    for file in files:
        try:
            if file.endswith(".txt"):
                text = read_bounded(root / file).strip()
                continue
            facts: Any = read_json(root / file)
        except (OSError, ValueError) as error:
            raise GeneratorError(f"{root / file} cannot be read: {error}; ?layout=plain leaves it out") from error
        facts = facts if isinstance(facts, dict) else {}
        column = next((c for c in COLUMNS["prompt"] if facts.get(c)), None)
        text = text or (text_of(facts[column], f"{root / file}: {column}").strip() if column else "")
        if facts.get("seed") is not None:
            seed = _seed(facts["seed"], root / file)
    return Captioned(entry.path, entry.key, text, seed)


def _seed(value: Any, file: Path) -> int:
    if type(value) is not int or abs(value) > LARGEST_SEED:
        raise GeneratorError(f"{file}: seed = {value!r:.60}; expected a whole number of at most 2**53")
    return value


WEBDATASET = Layout("webdataset", "NAME.mp4 with NAME.txt (caption) or NAME.json (prompt, caption or text; seed)", read)
