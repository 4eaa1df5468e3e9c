"""The begin and the end of worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

_session_threads: int | None = None  # of a worker


def begin_worker(session_threads: int | None = None) -> None:
    """Initialise a worker process: it ignores Ctrl-C, which the parent handles, and exits when the parent exits.

    `session_threads` is what `session_threads()` answers in it.
    """
    use_session_threads(session_threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def use_session_threads(number: int | None) -> None:
    """What `session_threads()` answers in this process from now on; None: as many threads as Torch has."""
    global _session_threads  # noqa: PLW0603
    _session_threads = number


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the main thread may be inside a call that takes minutes


def session_threads() -> int:
    """Threads of an ONNX Runtime session of features: Torch's, and in a worker those that its parent would take.

    The sums of a convolution are cut into parts by the number of threads, so that logits differ in the last digits: a session
    has as many threads in each of several workers as in a single process. They sleep when idle.
    """
    import torch

    return _session_threads or torch.get_num_threads()


def how_it_ended(code: int | None) -> str:
    """The end of a process in words, by its exit code, or by the signal that ended it where the code is negative.

    >>> how_it_ended(7), how_it_ended(-11)
    ('ended with exit code 7', 'was ended by SIGSEGV')
    >>> how_it_ended(-9)
    'was ended by SIGKILL, most likely by the system for want of memory'
    """
    if code is None or code >= 0:
        return "ended with an unknown exit code" if code is None else f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"was ended by {name}" + (", most likely by the system for want of memory" if name == "SIGKILL" else "")
