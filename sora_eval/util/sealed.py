"""JSON that is read with bounds, and files that carry their own digest.

A sealed file says what it held when it was written, so that a flipped bit, a cut, or an edit is an error and not another
result. A digest is no signature: it guards against accidents, not against a forger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 28  # of a JSON file; the largest baseline so far has 2 % of it
DIGEST = "digest"


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError: no JSON, nested too deeply, or text that is no Unicode.

    >>> parse_json('{"a": 1}')
    {'a': 1}
    >>> parse_json("[" * 50_000)
    Traceback (most recent call last):
    ValueError: nested too deeply
    """
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a string holds half of a surrogate pair") from None
    return data


def read_json(path: Path) -> Any:
    """The value of a JSON file in UTF-8. Raises OSError, and ValueError as `parse_json` and for more than 256 MB."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{size} bytes; expected at most {MOST_BYTES}")
    return parse_json(path.read_text(encoding="utf-8"))


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The table with the digest of its other keys as its last one."""
    return {**data, DIGEST: _digest(data)}


def unsealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The table without its digest. Raises ValueError where that is missing or of another content.

    >>> unsealed(sealed({"runs": 3}))
    {'runs': 3}
    """
    content = {key: value for key, value in data.items() if key != DIGEST}
    if data.get(DIGEST) != _digest(content):
        raise ValueError("it is not what was written: its digest is of another content")
    return content


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
