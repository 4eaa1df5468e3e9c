"""Which slices a set of cases falls into: all, every bucket, every length, every tag. The one place that says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sora_eval.runs.rows import SampleRow

Kind = Literal["all", "shape", "length", "tag"]
KINDS: tuple[Kind, ...] = ("all", "shape", "length", "tag")


@dataclass(frozen=True)
class Slice:
    """Cases that a number is about."""

    kind: Kind
    label: str
    ids: tuple[str, ...]


def slices_of(samples: Iterable[SampleRow], kinds: Sequence[Kind] = KINDS) -> list[Slice]:
    """`all`, then what splits the cases: shapes (`32x32x17`, with the rate where rates differ), lengths (`17 frames`), tags.

    A kind under which all cases are alike has no slices of its own.
    """
    rows = list(samples)
    rates = {r.fps for r in rows if r.bucket is not None}
    out = [Slice("all", "all", tuple(r.id for r in rows))] if "all" in kinds else []
    if "shape" in kinds:
        out += _split("shape", rows, [shape_label(r, with_rate=len(rates) > 1) for r in rows])
    if "length" in kinds:
        out += _split("length", rows, [f"{r.frames} frames" if r.frames else "unknown length" for r in rows])
    if "tag" in kinds:
        for tag in sorted({t for r in rows for t in r.tags}):
            ids = tuple(r.id for r in rows if tag in r.tags)
            out += [Slice("tag", tag, ids)] if len(ids) < len(rows) else []
    return out


def shape_label(row: SampleRow, *, with_rate: bool) -> str:
    """`WxHxT`, `WxHxT@FPS`, or `native` of a clip whose size is not known."""
    if row.bucket is None:
        return row.shape or "native"
    return str(row.bucket) if with_rate else row.shape


def _split(kind: Kind, rows: Sequence[SampleRow], labels: Sequence[str]) -> list[Slice]:
    names = dict.fromkeys(labels)
    if len(names) < 2:
        return []
    return [Slice(kind, n, tuple(r.id for r, m in zip(rows, labels, strict=True) if m == n)) for n in names]
