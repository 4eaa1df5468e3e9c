"""The syntax of metrics and generators on the command line: `NAME[?key=value&...]`."""

from __future__ import annotations

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
