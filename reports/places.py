"""Texts without the folders of this machine, since a report may be published."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from sora_eval.util.visible import encodable

_NAME = r"[^\s/\\'\"<>|:;,()?*]+"
# At least two names; a first slash behind a word, a dot or another slash is that of `40x24x9/0`, `./clips` or a URL.
_PATH = re.compile(rf"(?<![\w/.~])(?:/{_NAME}){{2,}}/?|(?<!\w)[A-Za-z]:(?:\\{_NAME})+\\?")
_QUOTED = re.compile(r"'((?:/|[A-Za-z]:\\)[^'\n]+)'|\"((?:/|[A-Za-z]:\\)[^\"\n]+)\"")


def without_folders(text: str, known: Iterable[Path] = ()) -> str:
    r"""The text with the last name only of every absolute path: of a `known` folder, between quotes, or without spaces.

    >>> without_folders("/home/jane/clips/a.mkv is damaged; see folder:/mnt/x/y and http://host/a/b, p1/40x24x17/0")
    'a.mkv is damaged; see folder:y and http://host/a/b, p1/40x24x17/0'
    >>> without_folders("'/home/jane/my clips/a.mkv', C:\\Users\\jane\\b.mkv, /my runs/1/x, /my runs/1", [Path("/my runs/1")])
    "'a.mkv', b.mkv, x, 1"
    """
    text = _QUOTED.sub(lambda m: m[0][0] + _last(m[1] or m[2]) + m[0][0], text)
    for folder in sorted((encodable(str(f)) for f in known if f.is_absolute() and f.name), key=len, reverse=True):
        text = text.replace(f"{folder}/", "/_/_/")  # as a path without spaces
        text = re.sub(rf"{re.escape(folder)}(?![\w.-])", lambda m: _last(m[0]), text)
    return _PATH.sub(lambda m: _last(m[0]), text)


def _last(path: str) -> str:
    return (PureWindowsPath(path) if "\\" in path else PurePosixPath(path)).name or path
