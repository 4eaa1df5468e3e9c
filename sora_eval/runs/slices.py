"""The slices of a set of cases: all, every shape, every length, every tag. All rooms use this definition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sora_eval.runs.rows import SampleRow

Kind = Literal["all", "shape", "length", "tag"]
KINDS: tuple[Kind, ...] = ("all", "shape", "length", "tag")


@dataclass(frozen=True)
class Slice:
    """The ids of the cases of one kind and label."""

    kind: Kind
    label: str
    ids: tuple[str, ...]


def slices_of(samples: Iterable[SampleRow], kinds: Sequence[Kind] = KINDS) -> list[Slice]:
    """`all`, then the slices that divide the cases: shapes (`32x32x17`, `@FPS` if rates differ), lengths (`17 frames`), tags.

    A kind that does not divide the cases has no slices.

    >>> rows = [SampleRow(id=f"p/{t}", prompt_id="p", width=40, height=24, frames=t, fps=8.0) for t in (9, 17)]
    >>> [part.label for part in slices_of(rows)]
    ['all', '40x24x9', '40x24x17', '9 frames', '17 frames']
    """
    rows = list(samples)
    rates = {bucket.fps for r in rows if (bucket := r.bucket) is not None}
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
    """`WxHxT`, `WxHxT@FPS`, or `native` of a clip whose shape is not known.

    >>> shape_label(SampleRow(id="p", prompt_id="p", width=40, height=24, frames=9, fps=8.0), with_rate=True)
    '40x24x9@8'
    """
    if row.bucket is None:
        return row.shape or "native"
    return str(row.bucket) if with_rate else row.shape


def _split(kind: Kind, rows: Sequence[SampleRow], labels: Sequence[str]) -> list[Slice]:
    names = dict.fromkeys(labels)
    if len(names) < 2:
        return []
    return [Slice(kind, n, tuple(r.id for r, m in zip(rows, labels, strict=True) if m == n)) for n in names]
