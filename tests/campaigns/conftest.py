"""Prints what the long campaigns recorded as tables in Markdown, as docs/reliability.md has them."""

from __future__ import annotations

import pytest

from tests.campaigns.fuzz import KINDS
from tests.campaigns.kills import JOBS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tables: dict[tuple[str, ...], list[list[str | int]]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "campaign":
                head, row = value
                tables.setdefault(tuple(head), []).append(row)
    order = [*KINDS, *JOBS]
    for head, rows in tables.items():
        rows.sort(key=lambda row: order.index(str(row[0])) if row[0] in order else len(order))
        terminalreporter.line("")
        for line in (head, ["---"] * len(head), *rows, *_total(rows)):
            terminalreporter.line("| " + " | ".join(map(str, line)) + " |")


def _total(rows: list[list[str | int]]) -> list[list[str | int]]:
    """The sums of a table of counts; none of another one."""
    columns = list(zip(*rows, strict=True))[1:]
    if not all(isinstance(v, int) for column in columns for v in column):
        return []
    return [["all", *(sum(int(v) for v in column) for column in columns)]]
