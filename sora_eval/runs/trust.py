"""What of a run folder may lead out of it: nothing, unless this user made the run on this machine.

run.json of an own run has a signature. That of a finished run holds wherever the folder lies, since run.json has the digest
of every table; that of an unfinished one holds at its place only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sora_eval.util.ownership import is_signed, signature
from sora_eval.util.sealed import digest_of, read_json, unsealed

SIGNATURE = "signature"  # key of run.json
CLIPS = "clips"


def signed(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """run.json with its signature; without one where there is no cache folder."""
    sign = signature(_text(data, folder))
    return dict(data) if sign is None else {**data, SIGNATURE: sign}


def is_own(folder: Path) -> bool:
    """Whether this user made a run on this machine."""
    try:
        data = unsealed(read_json(folder / "run.json"))
    except (OSError, ValueError, AttributeError):
        return False
    sign = data.pop(SIGNATURE, None)
    return is_signed(_text(data, folder), sign)


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path, followed through links, lies in a folder."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a circle of links, a name that no file can have
        return False


def foreign_entry(folder: Path, *, clips: bool) -> Path | None:
    """The first entry of a run folder, or of a folder in it, that leads out of it or is neither a file nor a folder.

    Single clips are looked at with `clips` only: a run can have many, and each is checked when it is read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:
        return None  # no folder: whoever reads it says so
    for entry in entries:
        if _is_foreign(folder, entry):
            return Path(entry.path)
        if entry.is_dir() and (clips or entry.name != CLIPS):
            with os.scandir(entry.path) as inner:
                if foreign := next((e for e in inner if _is_foreign(folder, e)), None):
                    return Path(foreign.path)
    return None


def _is_foreign(folder: Path, entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return not is_inside(folder, Path(entry.path))
    return not (entry.is_file() or entry.is_dir())


def _text(data: Mapping[str, Any], folder: Path) -> str:
    """The signed text of run.json."""
    return digest_of(data) + ("" if data.get("files") else f"|{os.fsencode(folder.resolve()).hex()}")
