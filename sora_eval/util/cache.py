"""Files of a cache that any number of processes share: whole or absent, made again where they are damaged."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from sora_eval.util.visible import say

_said: set[str] = set()


def warn_once(text: str) -> None:
    """Say something on standard error, the first time only."""
    if text not in _said:
        _said.add(text)
        say(f"note: {text}", err=True)


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """A new file to write into, which takes the place of `path` whole. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem[:16], suffix=".part")
    os.close(number)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)  # of others of this machine too
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def cached_file(path: Path, write: Callable[[Path], None]) -> Path:
    """The file that `write` writes, as `path`; where that cannot be written, in a folder that ends with this process."""
    try:
        with publishing(path) as partial:
            write(partial)
        return path
    except OSError as error:
        return _of_this_process(path, write, error)


def derived_file(path: Path, write: Callable[[Path], None]) -> Path:
    """The file `path`: as it is, where it is what was written according to the digest beside it, else written by `write`.

    One process at a time writes it, the others wait; where it cannot be written, as `cached_file`. Raises what `write` raises.
    """
    if _is_whole(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            if not _is_whole(path):  # another process may have written it
                _write_with_digest(path, write)
            return path
    except (OSError, NotImplementedError) as error:  # the second where a file system knows no locks
        return _of_this_process(path, write, error)


def _of_this_process(path: Path, write: Callable[[Path], None], error: Exception) -> Path:
    why = getattr(error, "strerror", None) or error
    warn_once(f"the cache {path.parent} is not used: {why}; {path.name} is made for this process only")
    folder = Path(tempfile.mkdtemp(prefix="sora_eval-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write(folder / path.name)
    return folder / path.name


def _write_with_digest(path: Path, write: Callable[[Path], None]) -> None:
    with publishing(path) as partial:
        write(partial)
        digest = _digest(partial)
    with publishing(_beside(path)) as partial:
        partial.write_text(digest, encoding="utf-8")


def _is_whole(path: Path) -> bool:
    try:
        return _beside(path).read_text(encoding="utf-8") == _digest(path)
    except (OSError, ValueError):
        return False


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
