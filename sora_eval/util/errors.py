"""Errors that a user can fix. The command line prints the message, without a traceback, and exits with 2."""

from collections.abc import Sequence
from difflib import get_close_matches

from sora_eval.util.visible import encodable

MOST_CHARACTERS = 200  # of an error of another library, inside a message


def near(word: str, known: Sequence[str]) -> str:
    """The end of a message about an unknown word: the closest known one, or else all of them.

    >>> near("lenght", ["shape", "length"]), near("colour", ["shape", "length"])
    ("; did you mean 'length'?", '; known: shape, length')
    """
    close = get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"


def line_of(error: BaseException, which: int = 0) -> str:
    """A non-empty line of an error's message, the first (0) or the last (-1), cut to MOST_CHARACTERS; its type without one.

    >>> line_of(ValueError("bad input\\nat line 3")), line_of(ValueError())
    ('bad input', 'ValueError')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[which] if lines else type(error).__name__)[:MOST_CHARACTERS]


class SoraEvalError(Exception):
    """The base class; a message says what was found, what was expected and how to fix it.

    It is text that can be written: a file name that is not UTF-8 has escapes in it.
    """

    def __str__(self) -> str:
        return encodable(super().__str__())


class RegistryError(SoraEvalError):
    """A name of a metric, generator or format that is unknown, ambiguous, or cannot be loaded."""


class SuiteError(SoraEvalError):
    """A suite file that cannot be used."""


class GeneratorError(SoraEvalError):
    """A generator that is unknown, cannot be opened, or violates its protocol."""


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
    """
    message = " ".join(encodable(str(error)).split())
    return message if isinstance(error, SoraEvalError) else f"{type(error).__name__}: {message}"
