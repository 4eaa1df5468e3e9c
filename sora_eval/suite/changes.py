"""Changes of a suite from the command line: `--set KEY=VALUE` edits the tables of a file before they are checked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Any

from sora_eval.util.errors import SuiteError, near
from sora_eval.util.redaction import MARK, is_secret_name, redact

NAMED = ("metrics", "gates")  # tables of tables, whose names the suite chooses


@dataclass(frozen=True)
class Change:
    """One `--set`: the keys of a value in the suite's tables, and the value. `text` is what was written."""

    text: str
    keys: tuple[str, ...]
    value: Any

    @property
    def record(self) -> str:
        """The text as a run records it, without a secret."""
        key = self.text.partition("=")[0]
        return f"{key}={MARK}" if is_secret_name(self.keys[-1]) else redact(self.text)

    def concerns(self, keys: Sequence[int | str]) -> bool:
        """Whether it sets the value at `keys`, a part of it, or a table around it."""
        return all(str(a) == str(b) for a, b in zip(self.keys, keys, strict=False))


def parsed_change(text: str) -> Change:
    """`KEY=VALUE`, where KEY has dots as in TOML and VALUE is a value of TOML, or else a text without quotes.

    Raises SuiteError.

    >>> parsed_change("metrics.clip_score.model=ViT-B-32:openai").value, parsed_change("axes.frames=[9, 17]").value
    ('ViT-B-32:openai', [9, 17])
    >>> parsed_change('metrics."my:Metric".gain=2').keys
    ('metrics', 'my:Metric', 'gain')
    """
    expected = "expected KEY=VALUE, for example metrics.clip_score.model=ViT-B-32:openai"
    places = [i for i, character in enumerate(text) if character == "="]
    for place in places:
        try:
            keys = _path(tomllib.loads(f"{text[:place].strip()} = 0"))
        except (ValueError, RecursionError):
            continue  # the equals sign is inside a quoted key
        if keys and "\n" not in text[:place]:
            return Change(text, keys, _value(text[place + 1 :]))
    raise SuiteError(f"--set {text!r}: {expected}")


def _path(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of the one value 0 of a table; none for a table of something else."""
    keys: list[str] = []
    value: Any = data
    while isinstance(value, dict):
        if len(value) != 1:
            return ()
        ((key, value),) = value.items()
        keys.append(key)
    return tuple(keys) if value == 0 else ()


def _value(text: str) -> Any:
    """A value of TOML; the text itself where it is none, or a date, which no suite has."""
    try:
        data = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    dated = isinstance(data["value"], (date, time))
    return data["value"] if len(data) == 1 and not dated else text


def changed(tables: Mapping[str, Any], changes: Iterable[Change]) -> tuple[dict[str, Any], list[Change]]:
    """The tables of a suite with the changes made, in order, and the changes by the suite's own names; `tables` stay as they
    are.

    An option goes into a metric or gate that the suite has, whose name may have dots; `metrics.NAME={}` adds one. Whether keys
    and values are known is left to who loads the suite. Raises SuiteError for a key below a value that is no table.
    """
    result: dict[str, Any] = dict(tables)
    made: list[Change] = []
    for asked in changes:
        change = _named(result, asked)
        place = result
        for depth, key in enumerate(change.keys[:-1], 1):
            below = place.get(key)
            if below is not None and not isinstance(below, dict):
                table = ".".join(change.keys[:depth])
                raise SuiteError(f"--set {change.record}: {table} = {below!r:.60} is no table, and has no keys")
            place[key] = place = dict(below or {})
        place[change.keys[-1]] = change.value
        made.append(change)
    return result, made


def _named(tables: Mapping[str, Any], change: Change) -> Change:
    """The change with the name of a metric or gate as one key. Raises SuiteError for an option of one that the suite lacks."""
    kind, *rest = change.keys
    if kind not in NAMED or len(rest) < 2:
        return change
    names = list(tables[kind]) if isinstance(tables.get(kind), dict) else []
    for length in range(len(rest) - 1, 0, -1):
        if (name := ".".join(rest[:length])) in names:
            return replace(change, keys=(kind, name, *rest[length:]))
    name = ".".join(rest[:-1])
    raise SuiteError(f"--set {change.record}: the suite has no [{kind}.{name}]{near(name, names)}")


def records(changes: Iterable[Change]) -> tuple[str, ...]:
    """The changes as a run records them; of two that set one value, the last."""
    return tuple({change.keys: change.record for change in changes}.values())
