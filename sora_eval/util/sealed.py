"""JSON that is read with bounds, and files that carry their own digest.

A sealed file says what it held when it was written, so that a flipped bit, a cut, or an edit is an error and not another
result. A digest is no signature: it guards against accidents, not against a forger.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sora_eval.util.files import read_bounded

DIGEST = "digest"


def parse_json(text: str, *, strict: bool = False) -> Any:
    """The value of a JSON text. Raises ValueError: no JSON, nested too deeply, or text that is no Unicode; with `strict` also
    for a key that occurs twice in an object, and for NaN and Infinity.

    >>> parse_json('{"a": 1}')
    {'a': 1}
    >>> parse_json("[" * 50_000)
    Traceback (most recent call last):
    ValueError: nested too deeply
    """
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refused) if strict else json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a string holds half of a surrogate pair") from None
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError(f"the key {Counter(key for key, _ in pairs).most_common(1)[0][0]!r} occurs twice in one object")
    return data


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def read_json(path: Path) -> Any:
    """The value of a JSON file in UTF-8. Raises OSError, and ValueError as `parse_json` and for more than 256 MB."""
    return parse_json(read_bounded(path))


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The table with the digest of its other keys as its last one."""
    return {**data, DIGEST: digest_of(data)}


def unsealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The table without its digest. Raises ValueError where that is missing or of another content.

    >>> unsealed(sealed({"runs": 3}))
    {'runs': 3}
    """
    content = {key: value for key, value in data.items() if key != DIGEST}
    if data.get(DIGEST) != digest_of(content):
        raise ValueError("it is not what was written: its digest is of another content")
    return content


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(data: Mapping[str, Any]) -> str:
    """sha256 of a table, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
