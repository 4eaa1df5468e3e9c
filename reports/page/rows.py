"""The rows of a report's table: values or differences by metric and slice, each with a verdict in words and a tone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from sora_eval.compare.comparison import Comparison, better, note_of, outcome
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData
from sora_eval.compare.slices import SliceRow, slice_rows
from sora_eval.records.speed_metrics import IN_SHORT, is_speed
from sora_eval.records.verdict import GateRow, Verdict
from sora_eval_reports.answer.of_runs import scale_behind
from sora_eval_reports.answer.one_run import marks_words
from sora_eval_reports.answer.one_run import places as places_of
from sora_eval_reports.numbers import interval, number, signed
from sora_eval_reports.source import LoadedRun, Source

TONE = {
    "PASS": "good",
    "IMPROVED": "good",
    "better": "good",
    "REGRESSED": "bad",
    "ERROR": "bad",
    "MISSING": "bad",
    "worse": "bad",
    "error": "bad",
    "INCONCLUSIVE": "open",
    "NO_BASELINE": "open",
    "NOT_COMPARABLE": "open",
    "unclear": "open",
    "not comparable": "open",
}
WORST_FIRST = ("REGRESSED", "ERROR", "MISSING", "error", "worse", "NOT_COMPARABLE", "NO_BASELINE", "INCONCLUSIVE")


@dataclass(frozen=True)
class Row:
    """One row. `kind` is all, shape, length or tag; numbers may be None; `why` explains the verdict."""

    metric: str
    kind: str
    slice: str
    run: str
    base: float | None
    new: float | None
    change: float | None
    low: float | None
    high: float | None
    p: float | None
    n: str
    unit: str
    better: bool | None  # higher is better; None: neither end
    verdict: str
    why: str
    percent: float | None = None
    family: str = ""
    place: float | None = None  # on the scale of its metric: 0 trivial clips, 1 perfect ones
    marks: str = ""  # of that scale, in words

    @property
    def tone(self) -> str:
        """good, bad, open or none, by the verdict."""
        return TONE.get(self.verdict, "none")

    @property
    def overall(self) -> bool:
        """Shown without a filter: whole metrics, and the speed of every shape."""
        return self.kind == "all" or (self.family == "speed" and self.kind == "shape")

    @property
    def name(self) -> str:
        """Metric and slice."""
        return self.metric if self.kind == "all" else f"{self.metric} · {self.slice}"

    def forest(self) -> dict[str, Any] | None:
        """The row of the forest plot, in % of the base, signed so that more is better; None without a percentage."""
        if self.change is None or self.percent is None or not self.change or not math.isfinite(self.percent):
            return None
        sign = -1.0 if self.better is False else 1.0
        scale = sign * self.percent / self.change
        # Without an interval the bar has no length: a chart of bars that all lack their ends has no scale.
        low, high = sorted(scale * (self.change if v is None else v) for v in (self.low, self.high))
        tip = f"{signed(self.percent)} %: {signed(self.change)} {self.unit}, 95 % {interval(self.low, self.high)}"
        return {
            "name": self.name if self.family != "speed" else f"{self.metric} {self.slice}",
            "change": sign * self.percent,
            "low": low,
            "high": high,
            "tone": self.tone,
            "tip": tip,
        }


def rows_of(source: Source) -> list[Row]:
    """All rows, the worst first; slices follow in the order of the suite."""
    gates = {(g.metric, g.slice): g for g in source.verdicts.rows} if source.verdicts else {}
    last = source.runs[-1].name
    if len(source.runs) == 1:
        rows = _values(source)
        rows = [_gated(r, gates.pop((r.metric, r.slice), None)) for r in rows]
        return _plain(source, [*rows, *_left(gates, rows, source.labels[last])])
    rows = []
    for place, (run, comparison) in enumerate(source.compared):
        group = _differences(source, comparison, run)
        if place == len(source.compared) - 1 and run.name == last:
            group = [_gated(r, gates.pop((r.metric, r.slice), None)) for r in group]
            group += _left(gates, group, source.labels[last])
        rows += group
    return _plain(source, rows)


def _plain(source: Source, rows: Iterable[Row]) -> list[Row]:
    """The rows without the folders of this machine, sorted."""
    return _sorted([replace(r, why=source.plain(r.why), slice=source.plain(r.slice)) for r in rows])


def _sorted(rows: list[Row]) -> list[Row]:
    def key(row: Row) -> tuple[bool, int, float]:
        place = WORST_FIRST.index(row.verdict) if row.verdict in WORST_FIRST else len(WORST_FIRST)
        return not row.overall, place, math.inf if row.place is None else row.place

    return sorted(rows, key=key)


def directions(source: Source) -> dict[str, bool | None]:
    """Whether higher is better, by metric; None where neither end is."""
    metrics = source.frames.metrics.drop_duplicates("metric", keep="last")
    return {m: None if pd.isna(h) else bool(h) for m, h in zip(metrics["metric"], metrics["higher_is_better"], strict=True)}


def _shown(metric: str, family: str, label: str) -> bool:
    """Whole metrics and speed by shape; other slices are made by `slice_rows`, all in one way."""
    return metric in IN_SHORT if family == "speed" else label == "all"


def _percent(change: float | None, base: float | None) -> float | None:
    return 100 * change / abs(base) if change is not None and base else None


def _word(d: Difference) -> str:
    """The verdict of a difference, in a word."""
    if d.status is not None:
        return {Verdict.NOT_COMPARABLE: "not comparable", Verdict.INCONCLUSIVE: "no test"}.get(d.status, "no value")
    if d.paired:
        return outcome(d)
    if word := {"new": "better", "base": "worse"}.get(better(d) or ""):
        return word
    if d.interval.low is None:
        return "no test"
    return "unclear" if d.higher_is_better is not None else "no better end"


def _differences(source: Source, comparison: Comparison, run: LoadedRun) -> list[Row]:
    label = source.labels[run.name]
    rows = [
        Row(
            d.metric,
            "all" if d.slice == "all" else "shape",
            d.slice,
            label,
            d.base,
            d.new,
            d.change,
            d.interval.low,
            d.interval.high,
            d.p,
            number(d.n),
            d.unit,
            d.higher_is_better,
            _word(d),
            "; ".join(filter(None, [note_of(d), d.interval.method])),
            d.change_percent,
            d.family,
        )
        for d in comparison.rows
        if _shown(d.metric, d.family, d.slice)
    ]
    data = source.data[source.runs.index(run)]
    return [*rows, *(_slice_row(s, label, data) for s in slice_rows(source.data[0], data))]


def _slice_row(s: SliceRow, label: str, data: RunData) -> Row:
    low, high = s.interval.low, s.interval.high
    whole = data.metrics.get((s.metric, "all"))
    direction = whole.higher_is_better if whole else None
    verdict = ""
    if s.change is not None:
        verdict = "no test" if low is None else "unclear"
        if low is not None and high is not None and (low > 0 or high < 0):
            verdict = "no better end" if direction is None else "better" if (low > 0) == direction else "worse"
    return Row(
        s.metric,
        s.kind,
        s.slice,
        label,
        s.base,
        s.new,
        s.change,
        low,
        high,
        None,
        f"{s.n}",
        whole.unit if whole else "",
        direction,
        verdict,
        f"a slice, for looking: not corrected for their number; {s.interval.method}",
        _percent(s.change, s.base),
        whole.family if whole else "",
    )


def _values(source: Source) -> list[Row]:
    data, label, scale = source.data[-1], source.labels[source.runs[-1].name], scale_behind(source.runs[-1])
    known = {} if scale is None else {r.metric: scale.of(r.metric, r.signature) for r in data.metrics.values()}
    places = {} if scale is None else places_of([r for r in data.metrics.values() if r.slice == "all"], scale)
    rows = [
        Row(
            r.metric,
            "all" if r.slice == "all" else "shape",
            r.slice,
            label,
            None,
            r.value,
            None,
            r.low,
            r.high,
            r.p,
            f"{r.n_scored}/{r.n_expected}",
            r.unit,
            r.higher_is_better,
            "" if r.status == "ok" else r.status,
            "; ".join(filter(None, [r.reason, r.method])),
            family=r.family,
            place=places.get(r.metric) if r.slice == "all" else None,
            marks=marks_words(own) if r.slice == "all" and (own := known.get(r.metric)) is not None else "",
        )
        for r in data.metrics.values()
        if _shown(r.metric, r.family, r.slice)
    ]
    return [*rows, *(_slice_row(s, label, data) for s in slice_rows(None, data))]


def _gated(row: Row, gate: GateRow | None) -> Row:
    """A row with the numbers and the verdict of the gate that was run on it."""
    return row if gate is None else _gate_row(gate, row.run, row)


def _left(gates: Mapping[tuple[str, str], GateRow], rows: list[Row], label: str) -> list[Row]:
    """Rows of gates without a metric row: missing and renamed metrics stay visible."""
    have = {(r.metric, r.slice) for r in rows}
    return [_gate_row(g, label, None) for key, g in gates.items() if key not in have]


def _gate_row(g: GateRow, label: str, row: Row | None) -> Row:
    limits = [f"limit {g.limit}"] if g.limit else []
    if g.min_change:
        limits.append(f"least change {number(g.min_change)}")
    if g.detectable:
        limits.append(f"smallest change that this gate sees: {number(g.detectable)} {g.unit}")
    if g.prompts_needed:
        limits.append(f"{g.prompts_needed} prompts would settle it")
    return Row(
        g.metric,
        "all" if g.slice == "all" else "shape",
        g.slice,
        label,
        g.base,
        g.new,
        g.change,
        g.low,
        g.high,
        g.p,
        str(g.n),
        g.unit or (row.unit if row else ""),
        g.higher_is_better,
        str(g.verdict),
        "; ".join(filter(None, [g.reason, *limits, g.method])),
        g.change_percent,
        row.family if row else "speed" if is_speed(g.metric) else "",
    )
