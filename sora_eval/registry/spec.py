"""The spelling that metrics and generators share on the command line: `NAME[?key=value&...]`."""

from __future__ import annotations

from sora_eval.util.errors import SoraEvalError


def split_spec(spec: str, noun: str, error: type[SoraEvalError]) -> tuple[str, dict[str, str]]:
    """Name and options of `NAME[?key=value&...]`; of an option given twice the last counts.

    Raises `error` for a part that is no key=value; `noun` says what the spec is of.

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
