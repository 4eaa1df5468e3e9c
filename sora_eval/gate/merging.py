"""Several runs of one checkpoint as one: their cases side by side, one set of seeds per run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from sora_eval.compare.cases import place_of, seed_of
from sora_eval.compare.difference import unlike
from sora_eval.compare.run_data import Features, RunData
from sora_eval.records.speed_metrics import is_speed
from sora_eval.runs.rows import MetricRow
from sora_eval.util.errors import BaselineError


def merged(parts: Sequence[RunData]) -> RunData:
    """The cases, scores and vectors of all parts, each under the seeds that its clips started from.

    A row of a metric holds the mean of the parts' values; speed stays that of the first, since several sessions are no larger
    one. Raises BaselineError for parts of unlike suites, generators or protocols, of other places, and for equal seeds.
    """
    first = parts[0]
    for part in parts[1:]:
        if problem := _unlike(first, part):
            raise BaselineError(f"{part.path} and {first.path} cannot be one baseline: {problem}")
    samples = {i: row for part in parts for i, row in part.samples.items()}
    if len(samples) < sum(len(part.samples) for part in parts):
        twice = next(i for i, n in Counter(i for part in parts for i in part.samples).items() if n > 1)
        raise BaselineError(
            f"two of these runs hold the case {twice}: equal seeds give the same clips again; "
            "make each with a --seed-offset of its own"
        )
    return replace(
        first,
        head=first.head.model_copy(update={"seed_offset": 0}),
        samples=samples,
        metrics={key: _row([part.metrics.get(key) for part in parts]) for key in first.metrics},
        scores={m: dict(chain.from_iterable(part.scores.get(m, {}).items() for part in parts)) for m in first.scores},
        features={
            m: _features([part.features[m] for part in parts])
            for m in first.features
            if all(m in part.features for part in parts)
        },
        merged_runs=tuple(chain.from_iterable(part.runs for part in parts)),
    )


def _unlike(first: RunData, part: RunData) -> str:
    a, b = first.head.generator, part.head.generator
    if field := unlike(first, part):
        return field
    if a.fingerprint != b.fingerprint:
        return f"generator fingerprint: {a.fingerprint} against {b.fingerprint}"
    places = [{place_of(i) for i in data.samples} for data in (first, part)]
    if other := sorted(places[0] ^ places[1]):
        return f"one lacks {len(other)} prompts or shapes, for example {other[0]}"
    for key in sorted(first.metrics.keys() | part.metrics.keys()):
        one, two = (data.metrics.get(key) for data in (first, part))
        if is_speed(key[0]):
            continue
        if one is None or two is None:
            return f"one lacks the metric {key[0]} of {key[1]}"
        if one.signature != two.signature:
            return f"signature of {key[0]}: {one.signature} against {two.signature}"
    return ""


def _row(rows: Sequence[MetricRow | None]) -> MetricRow:
    first = rows[0]
    assert first is not None
    values = [row.value for row in rows if row is not None and row.value is not None]
    if is_speed(first.metric) or len(values) < len(rows) or len(rows) == 1:
        return first
    return first.model_copy(
        update={
            "value": float(np.mean(values)),
            "n_expected": sum(row.n_expected for row in rows if row is not None),
            "n_scored": sum(row.n_scored for row in rows if row is not None),
            "low": None,
            "high": None,
            "p": None,
            "method": f"mean of {len(rows)} runs",
        }
    )


def _features(parts: Sequence[Features]) -> Features:
    return list(chain.from_iterable(ids for ids, _ in parts)), np.concatenate([values for _, values in parts])


def seeds_of(data: RunData) -> int:
    """Number of seeds per prompt and shape, the least over them."""
    counts: dict[str, set[str]] = {}
    for case in data.samples:
        counts.setdefault(place_of(case), set()).add(seed_of(case))
    return min(map(len, counts.values()), default=0)
