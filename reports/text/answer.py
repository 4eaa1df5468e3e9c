"""An answer as text: the first line of a terminal's output, and as Markdown."""

from __future__ import annotations

from rich.text import Text

from sora_eval.util.terminal import Terminal
from sora_eval_reports.answer.statement import Answer
from sora_eval_reports.text.console import line
from sora_eval_reports.text.tables import escape

STYLE = {"good": "bold green", "bad": "bold red", "open": "bold yellow", "none": "bold"}


def answered(out: Terminal, answer: Answer) -> None:
    """Print an answer, before everything else, and an empty line."""
    line(out, Text.assemble((answer.word, STYLE[answer.tone]), f": {answer.text}"))
    out.print()


def answer_markdown(answer: Answer) -> str:
    """An answer as a paragraph of Markdown."""
    return f"**{escape(answer.word)}**: {escape(answer.text)}"
