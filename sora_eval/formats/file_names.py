"""What the names of a folder's files say: which are clips, their ids, and prompt and seed where the names are VBench's."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from sora_eval.records.names import safe_id

# Beside clips: captions, tables, pictures, sound, vectors. A file of any other kind is a clip, or a row that says why not.
_TEXTS = (
    ".txt",
    ".json",
    ".jsonl",
    ".csv",
    ".tsv",
    ".parquet",
    ".md",
    ".srt",
    ".vtt",
    ".yaml",
    ".yml",
    ".toml",
    ".xml",
    ".log",
)
SIDECARS = frozenset(
    [*_TEXTS, ".html", ".png", ".jpg", ".jpeg", ".webp", ".wav", ".mp3", ".npy", ".npz", ".pt", ".safetensors"]
)
_VBENCH = re.compile(r"(.*\S)-(0|[1-9][0-9]{0,14})", re.DOTALL)
MOST_SHOWN = 3


def split_entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The clips of a folder by name, and what else is in it: folders, and files of SIDECARS. Hidden entries are neither.

    A link to nothing is a clip, whose row says so. Raises OSError.
    """
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    others = [p for p in entries if p.is_dir() or p.suffix.lower() in SIDECARS]
    return [p for p in entries if p not in set(others)], others


def left_out(others: Sequence[Path]) -> str:
    """The entries of a folder that are no clips, for a message; '' for none.

    >>> left_out([Path("clips/a.txt"), Path("clips/b.txt")])
    '2 entries are no clips and left out: a.txt, b.txt'
    """
    if not others:
        return ""
    names = [f"{p.name}/" if p.is_dir() else p.name for p in others[:MOST_SHOWN]]
    more = f" and {len(others) - MOST_SHOWN} more" if len(others) > MOST_SHOWN else ""
    verb = "1 entry is no clip" if len(others) == 1 else f"{len(others)} entries are no clips"
    return f"{verb} and left out: {', '.join(names)}{more}"


def ids_of(paths: Iterable[str]) -> dict[str, str]:
    """The id of each path: its stem; its whole name where several paths share the stem; with a digest of the path where they
    share that too.

    >>> list(ids_of(["a.mkv", "b.mkv", "b.mp4"]).values())
    ['a', 'b.mkv', 'b.mp4']
    """
    distinct = list(dict.fromkeys(paths))
    stems, names = (Counter(getattr(Path(p), part) for p in distinct) for part in ("stem", "name"))
    return {p: _id(p, stems[Path(p).stem], names[Path(p).name]) for p in distinct}


def _id(path: str, stems: int, names: int) -> str:
    if names > 1:
        return safe_id(f"{safe_id(Path(path).stem)[:100]}-{hashlib.sha256(path.encode()).hexdigest()[:12]}")
    return safe_id(Path(path).name if stems > 1 else Path(path).stem)


def vbench_names(stems: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Prompt and seed of the stems `PROMPT-SEED`, as VBench names its clips; empty unless a prompt of them has several words.

    >>> vbench_names(["a red ball-0", "alley-4"]), vbench_names(["take-1", "take-2"])
    ({'a red ball-0': ('a red ball', 0), 'alley-4': ('alley', 4)}, {})
    """
    matches = {stem: match for stem in stems if (match := _VBENCH.fullmatch(stem))}
    if not any(len(match[1].split()) > 1 for match in matches.values()):
        return {}
    return {stem: (match[1], int(match[2])) for stem, match in matches.items()}
