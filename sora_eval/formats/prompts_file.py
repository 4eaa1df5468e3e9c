"""Clips that are numbered like the lines of a file of prompts: `0000.mp4`, or `0000-SEED.mp4`, and `prompts.txt`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from sora_eval.formats.layout import Captioned, Layout, Reading
from sora_eval.formats.manifest_rows import COLUMNS
from sora_eval.formats.tables import records_of, text_of
from sora_eval.formats.tree import ClipEntry, Tree
from sora_eval.util.errors import GeneratorError
from sora_eval.util.files import read_bounded

STEMS = ("prompts", "prompt", "captions")
SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".json", ".parquet")
_NAME = re.compile(r"(?:[^\W\d]*[_ -])?(\d{1,15})(?:[_-](\d{1,15}))?")


def read(tree: Tree, asked: bool) -> Reading | None:
    """Prompt by number and seed by name. Raises GeneratorError for numbers that do not tell their lines."""
    files = [f for f in tree.files if "/" not in f and PurePosixPath(f).stem.lower() in STEMS]
    files = [f for f in files if PurePosixPath(f).suffix.lower() in SUFFIXES]
    matches = [(entry, match) for entry in tree.clips if (match := _NAME.fullmatch(entry.stem))]
    if not files or len(matches) < len(tree.clips):
        return None
    prompts = _prompts(tree, files[0])
    numbers = [int(match[1]) for _, match in matches]
    first = _first(numbers, len(prompts), f"folder:{tree.root}", files[0])
    clips = [
        _captioned(entry, prompts[number - first], match[2]) for (entry, match), number in zip(matches, numbers, strict=True)
    ]
    return Reading(clips, files[:1])


def _captioned(entry: ClipEntry, prompt: str, index: str | None) -> Captioned:
    """A clip with its prompt; an index behind its number is its seed, and no part of what the seeds share."""
    if index is None:
        return Captioned.of(entry, prompt)
    key = PurePosixPath(entry.key)
    stem = entry.stem.removesuffix(index)[:-1]
    return Captioned(entry.path, str(key.with_name(stem + key.suffix)), prompt, int(index))


def _first(numbers: list[int], prompts: int, folder: str, file: str) -> int:
    """The number of the first line, 0 or 1."""
    least, most = min(numbers), max(numbers)
    if least == 0 and most < prompts:
        return 0
    if least > 0 and most == prompts:
        return 1
    fix = "name every clip by its line, counted from 0; or ?layout=plain leaves the prompts out"
    if most > prompts or (least == 0 and most == prompts):
        raise GeneratorError(f"{folder}: {file} has {prompts} lines, and the clips have the numbers {least} to {most}; {fix}")
    raise GeneratorError(
        f"{folder}: the clips have the numbers {least} to {most}, and {file} has {prompts} lines: whether they count from 0 or "
        f"from 1 is open; {fix}"
    )


def _prompts(tree: Tree, file: str) -> list[str]:
    path = tree.root / file
    if path.suffix.lower() != ".txt":
        records = records_of(path)
        column = next((c for c in COLUMNS["prompt"] if records and c in records[0]), None)
        if column is None:
            raise GeneratorError(f"{path}: expected a column {' or '.join(COLUMNS['prompt'])}")
        return [text_of(r[column], f"{path}, row {number}: {column}") for number, r in enumerate(records, 1)]
    try:
        lines = [line.strip() for line in read_bounded(path).split("\n")]
    except (OSError, ValueError) as error:
        raise GeneratorError(f"{path} cannot be read: {error}") from error
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines or not lines:
        raise GeneratorError(f"{path}: line {lines.index('') + 1 if lines else 1} is empty; expected a prompt in every line")
    return lines


PROMPTS_FILE = Layout("prompts", "NUMBER.mp4 or NUMBER-SEED.mp4, and prompts.txt with a line per number", read)
