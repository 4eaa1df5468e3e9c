"""The ids that the names of files give."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from sora_eval.records.names import safe_id


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
