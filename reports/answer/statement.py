"""The record of an answer, and the words that its makers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sora_eval_reports.numbers import number, signed

Tone = Literal["good", "bad", "open", "none"]
NAMED = 3  # metrics that a statement names; the others are counted


@dataclass(frozen=True)
class Answer:
    """`word` says it in a word or two, `text` in a sentence or three, with the numbers that it rests on."""

    word: str
    text: str
    tone: Tone = "none"

    @property
    def line(self) -> str:
        """Both as one line.

        >>> Answer("not worse", "within its limits").line
        'not worse: within its limits'
        """
        return f"{self.word}: {self.text}" if self.word else self.text


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """The first names in words, and how many more there are.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c and 2 more')
    """
    shown, more = list(names[:most]), len(names) - most
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def moved(name: str, base: float | None, new: float | None, percent: float | None = None) -> str:
    """A change in words: both values, and per cent of the first.

    >>> moved("fvd", 694.8, 493.9, -28.9), moved("recall", 0.0, 0.5)
    ('fvd 695 to 494 (-28.9 %)', 'recall 0 to 0.5')
    """
    share = "" if percent is None else f" ({signed(percent, 3)} %)"
    return f"{name} {number(base, 3)} to {number(new, 3)}{share}"


def counted(n: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "metric"), counted(2, "metric")
    ('1 metric', '2 metrics')
    """
    return f"{n} {noun}{'s' * (n != 1)}"
