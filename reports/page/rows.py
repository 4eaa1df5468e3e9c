"""The rows of a report's table: values or differences by metric and slice, each with its verdict in words and a tone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import pandas as pd

from reports.frames import family
from reports.source import Source, paired_scores
from reports.text.tables import interval, number
from sora_eval.compare.slices import slice_table

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
KINDS = ("shape", "length", "tag")
SPEED_SHOWN = ("latency",)  # of the speed rows, the others are in the section on speed


@dataclass(frozen=True)
class Row:
    """One line. `kind` is all, shape, length or tag; numbers may be None; `why` explains the verdict."""

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

    @property
    def family(self) -> str:
        return family(self.metric)

    @property
    def tone(self) -> str:
        return TONE.get(self.verdict, "none")

    @property
    def overall(self) -> bool:
        """Shown before anybody filters: whole metrics, and the speed of every shape."""
        return self.kind == "all" or (self.family == "speed" and self.kind == "shape")

    @property
    def name(self) -> str:
        return self.metric if self.kind == "all" else f"{self.metric} · {self.slice}"

    def forest(self) -> dict[str, Any] | None:
        """The row of the forest plot, in % of the base and turned so that more is better; None without a percentage."""
        if self.change is None or self.percent is None or not self.change or not math.isfinite(self.percent):
            return None
        sign = -1.0 if self.better is False else 1.0
        scale = sign * self.percent / self.change
        ends = [None if v is None else v * scale for v in (self.low, self.high)]
        low, high = ends if None in ends else sorted(ends)  # type: ignore[type-var]
        tip = f"{signed(self.percent)} %: {signed(self.change)} {self.unit}, 95 % {interval(self.low, self.high)}"
        return {
            "name": self.name if self.family != "speed" else f"{self.metric} {self.slice}",
            "change": sign * self.percent,
            "low": low,
            "high": high,
            "tone": self.tone,
            "tip": tip,
        }


def signed(value: float | None) -> str:
    """A number with its sign."""
    return "-" if value is None else f"{'+' if value > 0 else ''}{number(value)}"


def rows_of(source: Source) -> list[Row]:
    """All rows, the worst first; slices follow in the order of the suite."""
    gates = {(g["metric"], g["slice"]): g for g in (source.verdicts or {}).get("rows", []) if "metric" in g and "slice" in g}
    last = source.runs[-1].path.name
    if len(source.runs) == 1:
        rows = _values(source, last)
        rows = [_gated(r, gates.pop((r.metric, r.slice), None)) for r in rows]
        return _sorted([*rows, *_left(gates, rows, source.labels[last])])
    rows = []
    for run, comparison in source.compared:
        own = _differences(source, comparison.table, run.path.name)
        if run.path.name == last:
            own = [_gated(r, gates.pop((r.metric, r.slice), None)) for r in own]
            own += _left(gates, own, source.labels[last])
        rows += own
    return _sorted([replace(r, why=source.plain(r.why)) for r in rows])


def verdict_line(source: Source, rows: list[Row]) -> dict[str, str]:
    """The first line of a report: what the gate said, or that none was run and what the rows say."""
    if not source.runs:
        return {"tone": "bad", "word": "NO RUN", "text": "no run could be read; the reasons are below"}
    label = source.labels[source.runs[-1].path.name]
    own = [r for r in rows if r.kind == "all" and r.run == label]
    gate = source.verdicts
    if gate is not None:
        word = str(gate.get("verdict", "?"))
        counts = Counter(str(g.get("verdict")) for g in gate.get("rows", []))
        parts = ", ".join(f"{n} {v}" for v, n in counts.items())
        against = _baseline(gate.get("baseline"))
        text = f"{label} against {against}: {sum(counts.values())} gated rows ({parts}); exit code {gate.get('exit_code', '?')}"
        text += f"; {gate['incomplete']}" if gate.get("incomplete") else ""
        return {"tone": TONE.get(word, "open"), "word": word.replace("_", " "), "text": text}
    if not source.compared:
        return {"tone": "none", "word": "No gate was run", "text": f"the values of {label} stand alone, with their intervals"}
    counts = Counter(r.verdict for r in own)
    text = f"{label} against {source.labels[source.runs[0].path.name]}: " + ", ".join(
        f"{counts[v]} {v}" for v in ("better", "worse", "unclear") if counts[v]
    )
    return {"tone": "none", "word": "No gate was run", "text": f"{text} of {len(own)} metrics, beyond noise at 95 %"}


def _baseline(side: dict[str, Any] | str | None) -> str:
    """What a run was gated against, without folders: a page may be given away."""
    if not side:
        return "no baseline"
    if isinstance(side, str):
        return side
    where = " ".join(filter(None, [str(side.get("kind") or ""), PurePath(str(side.get("path") or "")).name]))
    return f"{side.get('label') or 'a generator without a name'}{f' ({where})' if where else ''}"


def _sorted(rows: list[Row]) -> list[Row]:
    def key(row: Row) -> tuple[bool, int]:
        place = WORST_FIRST.index(row.verdict) if row.verdict in WORST_FIRST else len(WORST_FIRST)
        return not row.overall, place

    return sorted(rows, key=key)


def directions(source: Source) -> dict[str, bool | None]:
    """Metric to whether higher is better; None where neither end is."""
    known = source.frames.metrics.drop_duplicates("metric", keep="last")
    return {m: None if pd.isna(h) else bool(h) for m, h in zip(known["metric"], known["higher_is_better"], strict=True)}


def _shown(metric: str, label: str) -> bool:
    """Whole metrics and speed by shape; other slices are made here, all in one way."""
    return metric in SPEED_SHOWN if family(metric) == "speed" else label == "all"


def _clean(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _percent(change: Any, base: Any) -> float | None:
    change, base = _clean(change), _clean(base)
    return 100 * change / abs(base) if change is not None and base else None


def _differences(source: Source, table: pd.DataFrame, run: str) -> list[Row]:
    better, label = directions(source), source.labels[run]
    units = dict(zip(table["metric"], table["unit"], strict=True))
    rows = []
    for r in table.to_dict("records"):
        if not _shown(r["metric"], r["slice"]):
            continue
        verdict = {"new": "better", "base": "worse"}.get(
            str(r["better"]), "unclear" if _clean(r["low"]) is not None else "no test"
        )
        if _clean(r["change"]) is None:
            verdict = "not comparable" if str(r["note"]).startswith("not comparable") else "no value"
        if verdict == "unclear" and better.get(r["metric"]) is None:
            verdict = "no better end"
        rows.append(
            Row(
                r["metric"],
                "all" if r["slice"] == "all" else "shape",
                r["slice"],
                label,
                _clean(r["base"]),
                _clean(r["new"]),
                _clean(r["change"]),
                _clean(r["low"]),
                _clean(r["high"]),
                _clean(r["p"]),
                number(r["n"]),
                r["unit"],
                better.get(r["metric"]),
                verdict,
                "; ".join(filter(None, [r["note"], r["method"]])),
                _percent(r["change"], r["base"]),
            )
        )
    pairs = paired_scores(source.frames, source.runs[0].path.name, run)
    slices = slice_table(pairs, KINDS)
    return [*rows, *(_slice_row(s, label, units, better, paired=True) for s in slices.to_dict("records"))]


def _slice_row(s: dict[Any, Any], label: str, units: dict[str, str], better: dict[str, bool | None], paired: bool) -> Row:
    low, high, direction = _clean(s["low"]), _clean(s["high"]), better.get(s["metric"])
    verdict = ""
    if paired:
        verdict = "no test" if low is None else "unclear"
        if low is not None and high is not None and (low > 0 or high < 0):
            verdict = "no better end" if direction is None else "better" if (low > 0) == direction else "worse"
    return Row(
        s["metric"],
        s["kind"],
        s["slice"],
        label,
        _clean(s["base"]),
        _clean(s["new"]),
        _clean(s["change"]),
        low,
        high,
        None,
        f"{s['n']}",
        units.get(s["metric"], ""),
        direction,
        verdict,
        f"a slice, for looking: not corrected for their number; {s['method']}",
        _percent(s["change"], s["base"]),
    )


def _values(source: Source, run: str) -> list[Row]:
    metrics, better, label = source.frames.metrics, directions(source), source.labels[run]
    units = dict(zip(metrics["metric"], metrics["unit"], strict=True))
    rows = []
    for r in metrics.to_dict("records"):
        if not _shown(r["metric"], r["slice"]):
            continue
        ok = r["status"] == "ok"
        rows.append(
            Row(
                r["metric"],
                "all" if r["slice"] == "all" else "shape",
                r["slice"],
                label,
                None,
                _clean(r["value"]),
                None,
                _clean(r["low"]),
                _clean(r["high"]),
                _clean(r.get("p")),
                f"{r['n_scored']}/{r['n_expected']}",
                r["unit"],
                better.get(r["metric"]),
                "" if ok else r["status"],
                "; ".join(filter(None, [r["reason"], r["method"]])),
            )
        )
    scores = source.frames.scores.rename(columns={"value": "new"})
    slices = slice_table(scores, KINDS)
    return [*rows, *(_slice_row(s, label, units, better, paired=False) for s in slices.to_dict("records"))]


def _gated(row: Row, gate: dict[str, Any] | None) -> Row:
    """A row with the numbers and the verdict of the gate that was run on it."""
    return row if gate is None else _gate_row(gate, row.run, row)


def _left(gates: dict[tuple[str, str], dict[str, Any]], rows: list[Row], label: str) -> list[Row]:
    """Gates without a row of their own: what is missing or was renamed is shown, not lost."""
    have = {(r.metric, r.slice) for r in rows}
    return [_gate_row(g, label, None) for key, g in gates.items() if key not in have]


def _gate_row(g: dict[str, Any], label: str, row: Row | None) -> Row:
    limits = [f"{k} {number(g[k]) if isinstance(g[k], int | float) else g[k]}" for k in ("limit", "floor") if g.get(k)]
    if g.get("detectable"):
        limits.append(f"smallest change that this gate sees: {number(g['detectable'])} {g.get('unit', '')}")
    if g.get("prompts_needed"):
        limits.append(f"{g['prompts_needed']} prompts would settle it")
    why = "; ".join(str(v) for v in (g.get("reason"), *limits, g.get("method")) if v)
    n = g.get("n")
    return Row(
        g["metric"],
        "all" if g["slice"] == "all" else "shape",
        g["slice"],
        label,
        _clean(g.get("base")),
        _clean(g.get("new")),
        _clean(g.get("change")),
        _clean(g.get("low")),
        _clean(g.get("high")),
        _clean(g.get("p")),
        str(n) if n is not None else (row.n if row else "-"),
        g.get("unit") or (row.unit if row else ""),
        g.get("higher_is_better"),
        str(g["verdict"]),
        why,
        _clean(g.get("change_percent")),
    )
