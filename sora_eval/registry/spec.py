"""The syntax of metrics and generators on the command line: `NAME[?key=value&...]`."""

from __future__ import annotations

import json
from typing import Any

from sora_eval.util.errors import SoraEvalError


def split_spec(spec: str, noun: str, error: type[SoraEvalError]) -> tuple[str, dict[str, str]]:
    """Name and options of `NAME[?key=value&...]`; the last value of a repeated key counts.

    Raises `error` for a part that is not key=value; its message calls the spec a `noun`.

    >>> split_spec("reference:early?steps=10&guidance=2", "generator", SoraEvalError)
    ('reference:early', {'steps': '10', 'guidance': '2'})
    """
    name, _, query = spec.partition("?")
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise error(f"{noun} {spec!r}: {pair!r} is not key=value")
        options[key] = value
    return name, options


def value_of(text: str) -> Any:
    """The value of an option: a number, true, false, null or a list as in JSON; anything else is text.

    >>> [value_of(text) for text in ("4.5", "true", "step_100", "[1, 0.5]", "1e-4")]
    [4.5, True, 'step_100', [1, 0.5], 0.0001]
    """
    try:
        return json.loads(text)
    except ValueError:
        return text
