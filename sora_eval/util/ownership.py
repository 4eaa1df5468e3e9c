"""Signatures of files that this user made on this machine, under a key in the user's cache folder.

Whoever reads the key can sign, so it is readable by the user alone. Without a cache folder nothing is signed, and nothing
is the user's own.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from sora_eval.util.weights import cache_folder

KEY_BYTES = 32


def signature(text: str) -> str | None:
    """The signature of a text under the user's key, which is made on first use; None where there is none."""
    key = _key() or _new_key()
    return None if key is None else _sign(key, text)


def is_signed(text: str, sign: object) -> bool:
    """Whether `sign` is the signature of a text under the user's key."""
    key = _key()
    return key is not None and isinstance(sign, str) and hmac.compare_digest(_sign(key, text).encode(), sign.encode())


def key_file() -> Path:
    """The file of the key."""
    return cache_folder() / "run-key"


def _sign(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _key() -> bytes | None:
    """The key; None without one, and for a file that is not whole, or that others than the user can read or own."""
    try:
        with key_file().open("rb") as file:
            facts, key = os.fstat(file.fileno()), file.read(KEY_BYTES + 1)
    except OSError:
        return None
    if os.name == "posix" and (facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077):
        return None
    return key if len(key) == KEY_BYTES else None


def _new_key() -> bytes | None:
    """Make the key, or read the one that another process made meanwhile. None where the cache folder cannot be written."""
    path = key_file()
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)  # unlike a rename, this never takes the place of a key
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return _key()
