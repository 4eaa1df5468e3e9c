"""How the work on a run folder ends: run.json records it, whatever stops it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sora_eval.generators.protocol import Generator
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import now
from sora_eval.util.errors import RunError, fault_of_machine, reason_of


@contextmanager
def ending(folder: RunFolder, generator: Generator) -> Iterator[None]:
    """Record in run.json how the work inside ends, close the generator, and give the run's lock back.

    Raises RunError for an OSError, other exceptions unchanged.
    """
    try:
        with writing(folder):
            yield
            folder.finish()
    except KeyboardInterrupt:
        with suppress(OSError, RunError):  # what has happened says more than that it could not be recorded
            folder.update_head(status="cancelled", finished=now())
        raise
    except Exception as error:
        with suppress(OSError, RunError):
            folder.update_head(status="error", error=reason_of(error), finished=now())
        raise
    finally:
        folder.lock.release()
        generator.close()


@contextmanager
def writing(folder: RunFolder) -> Iterator[None]:
    """Raises RunError for an OSError of the work inside, which names the run folder only where that is the fault."""
    try:
        yield
    except OSError as error:
        fault = fault_of_machine(error) or str(error)
        if not error.filename or str(error.filename).startswith(str(folder.path)):
            fault = f"{folder.path} cannot be written: {fault}"
        raise RunError(f"{fault}; then use 'sora-eval run --resume'") from error
