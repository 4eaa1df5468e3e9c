"""What stands first on the page: metrics by family with the clips that are worst in each, and many runs in a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from sora_eval.compare.pair_scores import FAMILY as FIDELITY
from sora_eval_reports.page.rows import Row

WORST = 3  # clips beside a family
MANY = 4  # runs; more are a table instead of boxes
SPARK = (72, 18)  # px
COLUMNS = 7  # metrics of the table of runs


@dataclass(frozen=True)
class Family:
    """The rows of a family of metrics, and the places in the gallery of its worst clips, each with the metric."""

    name: str
    lines: list[Row]
    worst: list[tuple[int, str]] = field(default_factory=list)

    @property
    def counts(self) -> str:
        """How many of its rows have which verdict, in words; '' where none has one."""
        verdicts = [line.verdict.replace("_", " ") for line in self.lines if line.verdict]
        return ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))


def families(
    rows: Sequence[Row],
    label: str,
    cases: Mapping[str, Any],
    cards: Sequence[Mapping[str, Any]],
    better: Mapping[str, bool | None],
) -> list[Family]:
    """The whole metrics of the run `label` by family, without speed, which has a section of its own.

    `cases` and `cards` are those of the page, `better` says which end of a metric is.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.kind == "all" and row.run == label and row.family != "speed":
            found.setdefault(row.family or "other", []).append(row)
    named = sorted(found.items(), key=lambda family: family[0] == FIDELITY)  # how far clips lie apart says not which are better
    return [Family(name, lines, _worst([r.metric for r in lines], cases, cards, better)) for name, lines in named]


def _worst(
    metrics: Sequence[str],
    cases: Mapping[str, Any],
    cards: Sequence[Mapping[str, Any]],
    better: Mapping[str, bool | None],
) -> list[tuple[int, str]]:
    """Of each metric with a better end in turn, the clip of the gallery that fell most, or without a base is worst."""
    out: dict[int, str] = {}
    for metric in metrics:
        own, end = cases["metrics"].get(metric), better.get(metric)
        if own is None or end is None:
            continue
        sign = 1.0 if end else -1.0
        values = {}
        for i, card in enumerate(cards):
            at = card["data"]["case"]
            new, base = own["new"][at], own["base"][at] if "base" in own else 0.0
            if new is not None and base is not None:
                values[i] = sign * (new - base)
        if values and len(set(values.values())) > 1:
            out.setdefault(min(values, key=values.__getitem__), metric)
        if len(out) == WORST:
            break
    return list(out.items())


def table_of_runs(source_rows: Sequence[Mapping[Any, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Many runs as a table: a row each, a column for the first metrics of every family, over each a line through its values.

    `source_rows` are rows of metrics with run, metric, family, slice, value; `names` the runs in their order.
    """
    whole = [r for r in source_rows if r["slice"] == "all" and r["family"] != "speed"]
    by_family: dict[str, list[str]] = {}
    for r in whole:
        metrics = by_family.setdefault(r["family"], [])
        if r["metric"] not in metrics:
            metrics.append(r["metric"])
    turns = [m for turn in range(COLUMNS) for metrics in by_family.values() for m in metrics[turn : turn + 1]]
    columns = turns[:COLUMNS]
    values = {(r["run"], r["metric"]): r["value"] for r in whole}
    cells = {m: [_known(values.get((run, m))) for run in names] for m in columns}
    return {"metrics": columns, "sparks": [spark(cells[m]) for m in columns], "cells": list(zip(*cells.values(), strict=True))}


def _known(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def spark(values: Sequence[float | None]) -> Markup:
    """A line through values in their order, as a small picture; gaps where there is no value."""
    width, height = SPARK
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return Markup("")
    low, high = min(known), max(known)
    parts, open_line = [], False
    for i, value in enumerate(values):
        if value is None:
            open_line = False
            continue
        x = 2 + (width - 4) * i / max(1, len(values) - 1)
        y = 2 + (height - 4) * (1 - ((value - low) / (high - low) if high > low else 0.5))
        parts.append(f"{'L' if open_line else 'M'}{x:.1f} {y:.1f}")
        open_line = True
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-hidden="true"><path d="{d}"/></svg>'
    ).format(w=width, h=height, d=" ".join(parts))
