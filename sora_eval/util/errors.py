"""Errors that a user can fix. The command line prints the message, without a traceback, and exits with 2."""

import errno
from collections.abc import Sequence
from difflib import get_close_matches

from sora_eval.util.redaction import redact
from sora_eval.util.visible import encodable

MOST_CHARACTERS = 200  # of an error of another library, inside a message
MOST_OF_A_REASON = 2000  # characters
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "bad allocation",
    "insufficient memory",
    "failed to allocate memory",
    "failed to map segment",
)
_SPACE, _PERMISSION = "free some, or choose another place", "give permission, or choose another place"
_MACHINE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _PERMISSION),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files (ulimit -n)"),
    errno.EIO: "check the disk",
}


def near(word: str, known: Sequence[str]) -> str:
    """The end of a message about an unknown word: the closest known one, or else all of them.

    >>> near("lenght", ["shape", "length"]), near("colour", ["shape", "length"])
    ("; did you mean 'length'?", '; known: shape, length')
    """
    close = get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"


def text_of(error: BaseException) -> str:
    """The message of any exception, as text that can be written in UTF-8; also where its `__str__` fails.

    >>> text_of(ValueError("half a \\ud800 pair"))
    'half a \\\\ud800 pair'
    """
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as fault:  # a user's exception may do anything
        text = f"its message cannot be read ({type(fault).__name__})"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, in the words of Python, torch, ONNX Runtime or OpenCV.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("can't allocate memory: you tried to allocate 9 bytes"))
    (True, True)
    """
    return isinstance(error, MemoryError) or any(words in text_of(error).lower() for words in _OUT_OF_MEMORY)


def fault_of_machine(error: BaseException) -> str:
    """The message of an error that no code can avoid: a full disk, no permission, no memory; '' for any other.

    >>> fault_of_machine(OSError(errno.ENOSPC, "No space left on device", "runs/x")), fault_of_machine(OSError("odd"))
    ('No space left on device: runs/x; free some, or choose another place', '')
    """
    if is_out_of_memory(error):
        return f"{reason_of(error)}; ask for less at once, or for fewer --workers"
    if not isinstance(error, OSError) or error.errno not in _MACHINE:
        return ""
    place = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{place}; {_MACHINE[error.errno]}"


def line_of(error: BaseException, which: int = 0) -> str:
    """A non-empty line of an error's message, the first (0) or the last (-1), cut to MOST_CHARACTERS; its type without one.

    >>> line_of(ValueError("bad input\\nat line 3")), line_of(ValueError())
    ('bad input', 'ValueError')
    """
    lines = [line.strip() for line in text_of(error).splitlines() if line.strip()]
    return (lines[which] if lines else type(error).__name__)[:MOST_CHARACTERS]


def words_of(error: BaseException) -> str:
    """All of an error's message on one line, cut to MOST_CHARACTERS; its type without one.

    >>> words_of(ValueError("sizes differ:\\n\\t3 against 4"))
    'sizes differ: 3 against 4'
    """
    return (" ".join(text_of(error).split()) or type(error).__name__)[:MOST_CHARACTERS]


class SoraEvalError(Exception):
    """The base class; a message says what was found, what was expected and how to fix it.

    It holds no secret, and is text that can be written: a file name that is not UTF-8 has escapes in it.
    """

    def __str__(self) -> str:
        return encodable(redact(super().__str__()))


class RegistryError(SoraEvalError):
    """A name of a metric, generator or format that is unknown, ambiguous, or cannot be loaded."""


class SuiteError(SoraEvalError):
    """A suite file that cannot be used."""


class GeneratorError(SoraEvalError):
    """A generator that is unknown, cannot be opened, or violates its protocol."""


class DeviceError(SoraEvalError):
    """A device that is unknown, or that was asked for and is absent."""


class ClipError(SoraEvalError):
    """A clip file that cannot be read, or frames of another shape or type."""


class WeightsError(SoraEvalError):
    """Network weights that are missing, damaged or not the pinned version."""


class RunError(SoraEvalError):
    """A run folder that is missing, damaged or of another schema."""


class SelfcheckError(SoraEvalError):
    """A selfcheck that cannot run on these clips, metrics or corruptions."""


class BaselineError(SoraEvalError):
    """A baseline that is missing, damaged, of another schema, or that must not be written."""


class VoteError(SoraEvalError):
    """Votes that cannot be read, or runs that have nothing to vote on."""


class RefusedError(SoraEvalError):
    """A requested number that would mislead; the message says why, and what to use instead."""


class MetricError(SoraEvalError):
    """A user's metric that failed on a clip; the message is the reason of its rows."""


class Undefined(Exception):
    """A score that has no value on this clip; the message is the reason of its row."""


def reason_of(error: BaseException) -> str:
    """An error as the reason of a row, on one line; with its type if it is not an error of this project.

    >>> reason_of(ClipError("no frames")), reason_of(ValueError("no\\nframes"))
    ('no frames', 'ValueError: no frames')
    >>> reason_of(MemoryError())
    'out of memory (MemoryError)'
    """
    message = " ".join(encodable(text_of(error)).split())
    if not isinstance(error, SoraEvalError):
        name = type(error).__name__
        message = f"{name}: {message}" if message else name
        message = f"out of memory ({message})" if is_out_of_memory(error) else message
    rest = len(message) - MOST_OF_A_REASON
    return f"{message[:MOST_OF_A_REASON]} ... ({rest} more characters)" if rest > 0 else message
