"""Scores the pairs of two runs: the same case, prompt, shape and starting seed, in both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from sora_eval.compare.drift_bounds import DriftBounds
from sora_eval.compare.pair_scores import Fidelity, PairScores
from sora_eval.compare.run_data import RunData
from sora_eval.features.view import FeatureCache
from sora_eval.fidelity.sides import Side
from sora_eval.metrics.asking import pair_scores_of
from sora_eval.metrics.base import Output, PairMetric
from sora_eval.metrics.create import create_paired
from sora_eval.records.bucket import pooling_note, pooling_of
from sora_eval.registry.paired_metrics import CHEAP, PAIRED, paired_specs
from sora_eval.runs.rows import SampleRow, ScoreRow, Status
from sora_eval.util.errors import MetricError, SoraEvalError, Undefined
from sora_eval.util.progress import track

THREADS = 4  # decoding, flow and networks wait for each other's cores at times
AHEAD = 8  # pairs in memory

Item = TypeVar("Item")
Made = TypeVar("Made")
Values = dict[str, tuple[float | None, Status, str, dict[str, Any]]]  # by output: value, status, reason, detail


@dataclass(frozen=True)
class _Metric:
    """A paired metric by name: its outputs, its value for equal frames, and itself or why it could not be made."""

    name: str
    outputs: tuple[Output, ...]
    identical: dict[str, float]
    made: PairMetric | str

    @property
    def signature(self) -> str:
        return "" if isinstance(self.made, str) else self.made.signature


def measured(base: RunData, new: RunData, specs: Sequence[str] = CHEAP, bounds: DriftBounds | None = None) -> RunData:
    """`new` with its fidelity to `base` by the paired metrics of `specs` (`NAME[?option=value&...]`, or `all`).

    Pairs are the cases that both runs have. Frames that are equal bit by bit, by their hashes, have the value of a clip and
    itself, whether or not they are kept. A pair without a value has the reason: no clip, another shape or rate, a network that
    cannot be opened. Neither the order of cases nor the number of threads changes a value. `bounds` tell drift from rounding.
    Raises RegistryError and SuiteError for unknown metrics and options.
    """
    metrics = [_made(name, options) for name, options in paired_specs(tuple(specs)).items()]
    cache = FeatureCache()
    sides = Side("base", base, cache), Side("new", new, cache)
    ids = [i for i in new.samples if i in base.samples]
    rows: dict[str, dict[str, ScoreRow]] = {o.name: {} for m in metrics for o in m.outputs}

    def scored(case: str) -> Values:
        return _pair(metrics, sides, base.samples[case], new.samples[case], case)

    with ThreadPoolExecutor(THREADS, "fidelity") as threads:
        for case, values in zip(ids, track(_in_order(threads, scored, ids), "fidelity", len(ids)), strict=True):
            for m in metrics:
                for output in m.outputs:
                    value, status, reason, detail = values[output.name]
                    rows[output.name][case] = ScoreRow(
                        id=case, metric=output.name, value=value, status=status, reason=reason, detail=detail,
                        signature=m.signature,
                    )  # fmt: skip
    outputs = {o.name: _scores(m, o, rows[o.name], new) for m in metrics for o in m.outputs}
    same = frozenset(i for i in ids if _equal(base.samples[i], new.samples[i]))
    return replace(new, fidelity=Fidelity(base.runs, outputs, same, bounds))


def _made(name: str, options: dict[str, Any]) -> _Metric:
    loaded = PAIRED.load(name)
    try:
        made: PairMetric | str = create_paired(name, options)
    except SoraEvalError as error:
        made = str(error)
    source = loaded if isinstance(made, str) else made
    return _Metric(name, tuple(source.outputs), dict(getattr(source, "identical", {})), made)


def _equal(a: SampleRow, b: SampleRow) -> bool:
    """Whether the frames of two cases are equal bit by bit."""
    return a.status == b.status == "ok" and a.sha256 is not None and a.sha256 == b.sha256 and a.fps == b.fps


def _pair(metrics: Sequence[_Metric], sides: tuple[Side, Side], a: SampleRow, b: SampleRow, case: str) -> Values:
    outputs = [(m, o.name) for m in metrics for o in m.outputs]
    if _equal(a, b):
        return {name: (m.identical[name], "ok", "", {"frames": "equal"}) for m, name in outputs}
    reason = ""
    if a.status == b.status == "ok" and (a.shape, a.fps) != (b.shape, b.fps):
        reason = f"base is {a.shape} at {a.fps} fps, new {b.shape} at {b.fps} fps"
    views = [] if reason else [side.view(case) for side in sides]
    reason = reason or "; ".join(view for view in views if isinstance(view, str))
    if reason:
        return {name: (None, "error", reason, {}) for _, name in outputs}
    base, new = views
    assert not isinstance(base, str) and not isinstance(new, str)  # noqa: PT018
    values: Values = {}
    for m in metrics:
        names = [o.name for o in m.outputs]
        if isinstance(m.made, str):
            values |= {name: (None, "error", m.made, {}) for name in names}
            continue
        try:
            scores = pair_scores_of(m.name, m.made, base, new)
        except (Undefined, MetricError) as error:
            status: Status = "undefined" if isinstance(error, Undefined) else "error"
            values |= {name: (None, status, str(error), {}) for name in names}
            continue
        for name in names:
            s = scores[name]
            if s.value is None:
                values[name] = None, "undefined", s.reason, s.detail
            elif not np.isfinite(s.value):
                values[name] = None, "error", f"the metric gave {s.value}", s.detail
            else:
                values[name] = s.value, "ok", "", s.detail
    return values


def _scores(metric: _Metric, output: Output, rows: dict[str, ScoreRow], new: RunData) -> PairScores:
    info = PAIRED.info(metric.name)
    scored = [new.samples[i].bucket for i, row in rows.items() if row.value is not None]
    pooling = pooling_of((bucket for bucket in scored if bucket is not None), info.sensitive_to)
    return PairScores(
        output.name,
        output.unit,
        output.higher_is_better is not False,
        metric.identical[output.name],
        metric.signature,
        output.span,
        rows,
        info.family,
        pooling_note(pooling),
    )


def _in_order(threads: ThreadPoolExecutor, run: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """The results of `run`, in order, of which at most `AHEAD` are under way or wait."""
    under_way: deque[Future[Made]] = deque()
    for item in items:
        under_way.append(threads.submit(run, item))
        if len(under_way) > AHEAD:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
