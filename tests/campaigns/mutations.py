"""Accidents that befall a file: bytes that change, and JSON, JSON lines or TOML that say something else than they should."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

Bytes = Callable[[bytes, np.random.Generator], bytes]
NUMBERS = (-1, 0, 1.5, 10**400, float("nan"), float("inf"), -1e308)
ODD = (None, "", "x", *NUMBERS, [], {}, [[]], True, "\x1b]0;t\x07", "\ud800", "../../x")


def _span(data: bytes, rng: np.random.Generator) -> slice:
    start = int(rng.integers(len(data) + 1))
    return slice(start, start + int(rng.integers(1, 65)))


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit."""
    if not data:
        return b"\x00"
    place = int(rng.integers(len(data)))
    return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return data[: int(rng.integers(len(data)))] if data else b""


def drop(data: bytes, rng: np.random.Generator) -> bytes:
    """Up to 64 bytes are missing."""
    span = _span(data, rng)
    return data[: span.start] + data[span.stop :]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    """Up to 64 bytes stand twice."""
    span = _span(data, rng)
    return data[: span.stop] + data[span] + data[span.stop :]


def zeros(data: bytes, rng: np.random.Generator) -> bytes:
    """Up to 64 bytes are zero, as after a crash of a file system."""
    span = _span(data, rng)
    return data[: span.start] + bytes(len(data[span])) + data[span.stop :]


def noise(data: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes in the middle."""
    start = _span(data, rng).start
    return data[:start] + rng.bytes(int(rng.integers(1, 33))) + data[start:]


def nothing(data: bytes, rng: np.random.Generator) -> bytes:
    """An empty file."""
    return b""


BYTES: tuple[Bytes, ...] = (flip, flip, cut, drop, repeat, zeros, noise, nothing)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values below one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    out = [path] if path else []
    for key, child in items:
        out += _places(child, (*path, key))
    return out


def structure(value: Any, rng: np.random.Generator) -> Any:
    """The value with one fault: another type or range, a key gone, renamed or added, an item twice, or 50,000 levels."""
    value = json.loads(json.dumps(value))
    places = _places(value)
    if not places:
        return ODD[int(rng.integers(len(ODD)))]
    path = places[int(rng.integers(len(places)))]
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    last, kind = path[-1], int(rng.integers(6))
    if kind == 0:
        del parent[last]
    elif kind == 1 and isinstance(parent, dict):
        parent[f"{last}_"] = parent.pop(last)
    elif kind == 2 and isinstance(parent, dict):
        parent["unknown"] = 1
    elif kind == 3 and isinstance(parent, list):
        parent.append(parent[last])
    else:
        parent[last] = ODD[int(rng.integers(len(ODD)))]
    return value


def json_fault(data: bytes, rng: np.random.Generator) -> bytes:
    """A JSON file with one fault in what it says."""
    if rng.integers(20) == 0:
        return b"[" * 50_000
    return json.dumps(structure(json.loads(data), rng), indent=2).encode() + b"\n"


def lines_fault(data: bytes, rng: np.random.Generator) -> bytes:
    """A table of JSON lines: a row with a fault, twice, missing, or of another place."""
    lines = data.decode().splitlines()
    if not lines:
        return b"{}\n"
    place, kind = int(rng.integers(len(lines))), int(rng.integers(5))
    if kind == 0:
        lines.insert(place, lines[place])
    elif kind == 1:
        del lines[place]
    elif kind == 2:
        lines.insert(place, "[" * 50_000)
    else:
        lines[place] = json.dumps(structure(json.loads(lines[place]), rng))
    return ("\n".join(lines) + "\n").encode()
