"""One process at a time writes into a run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sora_eval.util.errors import RunError
from sora_eval.util.files import read_bounded, write_atomic

if TYPE_CHECKING:
    from filelock import BaseFileLock

FILE, OWNER = "run.lock", "run.pid"  # no part of the run: they have no digest, and a copy is not locked
PATIENCE = 10.0  # seconds, of those who write one file only


class RunLock:
    """The lock of a run folder. It ends with its process, however that ends: the system gives it back, not a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: BaseFileLock | None = None

    def __reduce__(self) -> tuple[type[RunLock], tuple[Path]]:
        return RunLock, (self._folder,)  # a worker process that gets the folder reads only

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock, or keep it. Raises RunError, after `patience` seconds, if another process or object has it."""
        if self._lock is not None:
            return
        from filelock import FileLock, Timeout  # it starts slowly

        lock = FileLock(self._folder / FILE, thread_local=False)
        try:
            lock.acquire(timeout=patience)
            write_atomic(self._folder / OWNER, str(os.getpid()))
        except Timeout:
            raise RunError(
                f"{self._folder} is being written by {self._owner()}; wait until that has ended, or end it, and try again"
            ) from None
        except OSError as error:
            raise RunError(f"{self._folder} cannot be written: {error.strerror}") from error
        self._lock = lock

    def release(self) -> None:
        """Give the lock back; nothing happens without it."""
        if self._lock is not None:
            (self._folder / OWNER).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    @contextmanager
    def held(self, patience: float = 0.0) -> Iterator[None]:
        """The lock for the work inside. Raises RunError as `acquire` does."""
        self.acquire(patience)
        try:
            yield
        finally:
            self.release()

    def _owner(self) -> str:
        try:
            return f"process {int(read_bounded(self._folder / OWNER, 20))}"
        except (OSError, ValueError):
            return "another process"
