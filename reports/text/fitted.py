"""Tables that fit the console: columns that may be left out are, the others go into several tables; no number is ever cut."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from sora_eval.util.visible import visible

BETWEEN = 2  # spaces between columns
LEAST_TEXT = 16  # columns that a text is broken to, at most
_NUMBER = re.compile(r"[-+−\d.,:e/%*x() ]*|nan|ok", re.IGNORECASE)
_BREAK = re.compile(r"(?<=[._:/, -])")  # places where a heading may go on in another line


class Fitted:
    """A table, by its columns, with its title; where it is too wide, it leaves out the columns `drop`, the first of them first.

    Numbers stay whole; a text goes on in another line. The first column is repeated in every part of a table in parts.
    """

    def __init__(self, columns: Mapping[str, Sequence[object]], title: str, drop: Sequence[str] = ()) -> None:
        self.title, self.drop = title, drop
        self.cells = {name: [visible(str(v)) for v in values] for name, values in columns.items()}
        self.rows = max(map(len, self.cells.values()), default=0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, shown = options.max_width, list(self.cells)
        out: list[str] = []
        for name in self.drop:
            if self._needed(shown) > width and name in shown:
                shown.remove(name)
                out.append(name)
        if self.title:
            yield Text(visible(self.title), "bold")
        for part in self._parts(shown, width):
            yield self._table(part, width)
        if out:
            yield Text(f"left out: {', '.join(out)}; --wide shows {'it' if len(out) == 1 else 'them'}", "dim")

    def _is_text(self, name: str) -> bool:
        return not all(_NUMBER.fullmatch(v) for v in self.cells[name])

    def _natural(self, name: str) -> int:
        return max([_heading(name), *map(cell_len, self.cells[name])])

    def _least(self, name: str) -> int:
        """The narrowest that a column may be: of a number its own width, of a text of several words less."""
        natural = self._natural(name)
        words = [part for v in self.cells[name] for part in v.split()] if self._is_text(name) else []
        if not any(" " in v for v in self.cells[name]):
            return natural
        return min(natural, max([LEAST_TEXT, _heading(name), *map(cell_len, words)])) if words else natural

    def _needed(self, names: Sequence[str]) -> int:
        return sum(map(self._least, names)) + BETWEEN * (len(names) - 1)

    def _parts(self, names: list[str], width: int) -> list[list[str]]:
        """The columns of each table: as many as fit beside the first."""
        if not names or self._needed(names) <= width:
            return [names]
        parts, part = [], [names[0]]
        for name in names[1:]:
            if len(part) > 1 and self._needed([*part, name]) > width:
                parts.append(part)
                part = [names[0]]
            part.append(name)
        return [*parts, part]

    def _table(self, names: list[str], width: int) -> Table:
        out = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 1))
        widths = {name: self._least(name) for name in names}
        room = width - self._needed(names)
        for name in sorted(names, key=lambda n: self._natural(n) - widths[n]):  # what lacks least is made whole first
            more = max(0, min(self._natural(name) - widths[name], room))
            widths[name], room = widths[name] + more, room - more
        if room < 0:  # a single word that no console of this width can show
            widest = max(names, key=lambda n: widths[n])
            widths[widest] = max(1, widths[widest] + room)
        for name in names:
            justify = "left" if name == names[0] or self._is_text(name) else "right"
            out.add_column(_broken(name, widths[name]), justify=justify, width=widths[name], overflow="fold", vertical="top")  # type: ignore[arg-type]
        for i in range(self.rows):
            out.add_row(*(Text(self.cells[name][i]) for name in names))
        return out


def _heading(name: str) -> int:
    """The width that a heading needs at least: its longest piece."""
    return max((cell_len(piece.rstrip()) for piece in _BREAK.split(visible(name))), default=0)


def _broken(name: str, width: int) -> Text:
    """A heading in as many lines as it needs, broken where names are.

    >>> _broken("object_facts.velocity_error", 15).plain
    'object_facts.\\nvelocity_error'
    """
    lines = [""]
    for piece in _BREAK.split(visible(name)):
        if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return Text("\n".join(line.rstrip() for line in lines))
