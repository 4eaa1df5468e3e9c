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
    for head, rows in tables.items():
        rows.sort(key=lambda row: [*KINDS, *JOBS].index(str(row[0])))
        total = ["all", *(sum(int(v) for v in column) for column in list(zip(*rows, strict=True))[1:])]
        terminalreporter.line("")
        for line in (head, ["---"] * len(head), *rows, total):
            terminalreporter.line("| " + " | ".join(map(str, line)) + " |")
