"""Errors that a user can fix."""

_OUT_OF_MEMORY = ("bad_alloc", "allocate memory", "out of memory", "map segment")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, in the words of Python, torch or ONNX Runtime.

    >>> is_out_of_memory(RuntimeError("Exception during initialization: std::bad_alloc")), is_out_of_memory(ValueError("bad"))
    (True, False)
    """
    return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


class ReferenceModelError(Exception):
    """States what was found, what was expected and how to fix it; the command line prints it without a traceback."""
