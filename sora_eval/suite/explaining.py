"""Faults of suites and prompts in the words of their files: the key, the value found, the value expected, the line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from sora_eval.util.errors import near

MOST_SHOWN = 80  # characters of a value in a message
MOST_LINES = 2000  # of a file whose faults have a line


def explained(problem: Any, model: type[BaseModel], key: str = "") -> str:
    """One fault of pydantic as `KEY = FOUND; expected ...`; `key` is the place in the file, by default that in the record."""
    place = key or ".".join(p if str(p).isidentifier() else repr(p) for p in problem["loc"]) or "the line"
    if problem["type"] == "extra_forbidden":
        return f"{place} is not known{near(str(problem['loc'][-1]), list(model.model_fields))}"
    if problem["type"] == "missing":
        return f"{place} is missing"
    return f"{place} = {shown(problem['input'])}{ending(problem['msg'])}"


def ending(message: str) -> str:
    """The end of a message from pydantic's words.

    >>> ending("Input should be a valid list"), ending("Value error, 'x' is not a shape")
    ('; expected a valid list', ": 'x' is not a shape")
    """
    message = message.removeprefix("Value error, ")
    for start in ("Input should be ", "Input should "):
        if message.startswith(start):
            return f"; expected {'' if start.endswith('be ') else 'to '}{message.removeprefix(start)}"
    return f"; {message}" if message.startswith("expected") else f": {message[0].lower()}{message[1:]}"


def shown(value: Any) -> str:
    """A value as the message shows it, cut to MOST_SHOWN characters."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def line_of(text: str, keys: Sequence[int | str]) -> int | None:
    """The line of a TOML text on which the value of `keys` begins, or the innermost table around it; None if none is there.

    The text is parsed line by line: the key is on the first line with which the value is there.

    >>> line_of('[axes]\\nframes = [\\n 9]\\nfps = 8', ["axes", "frames", 0]), line_of("[axes]", ["axes", "fps"])
    (2, 1)
    """
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        return None
    best, depth, begin = None, 0, 1
    for number in range(1, len(lines) + 1):
        try:
            data = tomllib.loads("\n".join(lines[:number]) + "\n")
        except (ValueError, RecursionError):
            continue  # inside a value of several lines
        if (reached := _depth(data, keys)) > depth:
            best, depth = begin, reached
        begin = number + 1
    return best


def _depth(data: Any, keys: Sequence[int | str]) -> int:
    """How many of the keys lead to a value."""
    for depth, key in enumerate(keys):
        if not isinstance(data, dict) or key not in data:
            return depth
        data = data[key]
    return len(keys)
