"""Progress on standard error: a bar in a terminal, elsewhere a line every LINE_EVERY seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from statistics import median
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sora_eval.util.redaction import redact
from sora_eval.util.terminal import Terminal, has_width
from sora_eval.util.visible import visible

T = TypeVar("T")
LINE_EVERY = 15.0  # seconds
LONG = 60.0  # seconds from which work is said to be long


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield items and show progress under the name `what`; `total` is needed for items without a length."""
    console, what = Terminal(stderr=True), redact(what)
    if total is None and isinstance(items, Sized):
        total = len(items)
    if console.is_terminal:
        columns = (
            TextColumn(f"{visible(what):<12}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            yield from progress.track(items, total=total)
        return
    start = last_line = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
        now = time.monotonic()
        if now - last_line > LINE_EVERY or count == total:
            last_line = now
            left = f", {(now - start) / count * (total - count):.0f} s left" if total and count < total else ""
            line = f"{what}: {count}/{total or '?'} in {now - start:.0f} s{left}"
            console.print(line, soft_wrap=not has_width(console))


def announce(text: str) -> None:
    """Say on standard error what long work is about to do, and how long it will take."""
    console = Terminal(stderr=True)
    console.print(redact(text), soft_wrap=not has_width(console))


class Estimate:
    """Says once how long work will take: the median of its first units times those that are left, where that is long."""

    def __init__(self, what: str, hint: str = "", first: int = 3) -> None:
        self._what, self._hint, self._first = what, hint, first
        self._seconds: list[float] = []

    def unit(self, seconds: float, left: int) -> None:
        """Note what one unit took; `left` more remain."""
        if len(self._seconds) >= self._first:
            return
        self._seconds.append(seconds)
        whole = median(self._seconds) * left
        if len(self._seconds) == self._first and whole >= LONG:
            announce(f"{self._what} takes about {duration(whole)} more on this machine{self._hint}")


def duration(seconds: float) -> str:
    """A time in words, rounded as an estimate is.

    >>> duration(4), duration(95), duration(4000), duration(200_000)
    ('4 s', '2 min', '1.1 h', '56 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.2g} h"
