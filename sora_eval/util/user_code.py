"""Code of users: whatever it raises is one kind of error, and what it changes in the process is undone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from sora_eval.util.errors import SoraEvalError, Undefined, reason_of

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class UserCodeError(SoraEvalError):
    """Code of a user that failed; the message is the exception with its type, the cause the exception."""


@contextmanager
def user_code() -> Iterator[None]:
    """Runs code of a user. Raises UserCodeError for whatever it raises, an exit of the interpreter and a cancelled task too.

    Errors of this project, Undefined and KeyboardInterrupt stay as they are. Afterwards the working folder, the handlers of
    Ctrl-C and of termination and the standard streams are those of before. What the code prints goes to standard error:
    standard output belongs to results.
    """
    folder, handlers, streams = os.getcwd(), _handlers(), (sys.stdout, sys.stderr)
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (SoraEvalError, Undefined, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserCodeError(reason_of(error)) from error
    finally:
        sys.stdout, sys.stderr = streams
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        _return_to(folder)


def _handlers() -> dict[signal.Signals, Any]:
    """The handlers that Python can set again; empty outside the main thread, which alone can set them."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: handler for number, handler in handlers.items() if handler is not None}


def _return_to(folder: str) -> None:
    try:
        if os.getcwd() == folder:
            return
    except FileNotFoundError:
        pass  # the code has removed the folder that it went to
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserCodeError(f"the working folder cannot be entered again: {error.strerror}: {folder}") from error
