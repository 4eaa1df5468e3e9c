"""The console of this project: what it prints comes from runs, suites and files, and is text, never markup or control."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from sora_eval.util.visible import visible, width_of

_WIDE = ContextVar("wide", default=False)


@contextmanager
def wide_tables() -> Iterator[None]:
    """Tables are as wide as they are, whatever the width of the terminal."""
    token = _WIDE.set(True)
    try:
        yield
    finally:
        _WIDE.reset(token)


def is_wide() -> bool:
    """Whether tables are as wide as they are."""
    return _WIDE.get()


def has_width(console: Console) -> bool:
    """Whether lines are broken to a width: in a terminal, and where $SORA_EVAL_COLUMNS asks for it."""
    return console.is_terminal or width_of(sys.stdout) is not None


class Terminal(Console):
    """A console of rich without markup, emoji codes and highlights, on which control characters are shown as `visible` does.

    Styles come from the `style` of a call or from `Text`. Options are those of rich's Console.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text before it is laid out, so that an escape has its width."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of anything, such as a `Text`: the last place that every character passes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
