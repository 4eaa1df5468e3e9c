"""The answer of a gate: its verdict, and the row and the clips that carry it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from textwrap import shorten
from typing import Any

from sora_eval.records.verdict import SEVERITY, GateResult, GateRow, Verdict
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import AttributionRow, SampleRow, ScoreRow
from sora_eval_reports.answer.statement import Answer, counted, listed, moved
from sora_eval_reports.numbers import number

CLIPS = 3  # that carry a row
REASON = 160  # characters of a reason


def of_gate(result: GateResult, run: RunFolder | None = None) -> Answer:
    """The answer of a gate; the clips are those of its `run`, where that is at hand."""
    word, label = str(result.verdict).replace("_", " "), result.run.get("label") or "the run"
    pair = f"{label} against {_baseline(result.baseline)}"
    rows = worst_first(result)
    if result.incomplete and result.verdict is Verdict.ERROR:
        return Answer(word, f"{pair} cannot be judged: {shorten(result.incomplete, REASON, placeholder=' ...')}", "bad")
    if not rows:
        return Answer(word, f"{pair}: no row was judged", "bad")
    if result.verdict.green:
        return Answer(word, f"{pair}: {_green(rows)}", "good")
    row = rows[0]
    change, limit = moved(row.name, row.base, row.new, row.change_percent), f", limit {row.limit}" if row.limit else ""
    why = shorten(row.reason, REASON, placeholder=" ...")
    words = {
        Verdict.REGRESSED: f"worse in {change}{limit}",
        Verdict.INCONCLUSIVE: f"open is {change}{limit}: {why}",
    }.get(row.verdict, f"no verdict on {row.name}: {why}")
    alike = [r.name for r in rows[1:] if r.verdict is row.verdict]
    others = [r.name for r in rows[1:] if not r.verdict.green and r.verdict is not row.verdict]
    more = f"; {str(row.verdict).replace('_', ' ')} too: {listed(alike)}" if alike else ""
    more += f"; not green either: {listed(others)}" if others else ""
    clips = row_clips(run, row)[:CLIPS] if run is not None else []
    carried = f"; look at {', '.join(clips)}" if clips else ""
    return Answer(word, f"{pair}: {words}{carried}{more}", "bad" if result.verdict in _BAD else "open")


def _baseline(base: dict[str, Any]) -> str:
    """The baseline of the gate, without folders: a report may be published."""
    if not base:
        return "no baseline"
    where = " ".join(filter(None, [str(base.get("kind") or ""), PurePath(str(base.get("path") or "")).name]))
    return f"{base.get('label') or 'a generator without a name'}{f' ({where})' if where else ''}"


_BAD = (Verdict.REGRESSED, Verdict.ERROR, Verdict.MISSING)


def _green(rows: Sequence[GateRow]) -> str:
    improved = [r for r in rows if r.verdict is Verdict.IMPROVED]
    parts = [f"better in {listed([moved(r.name, r.base, r.new, r.change_percent) for r in improved])}"] if improved else []
    held = [r for r in rows if r.verdict is Verdict.PASS]
    if held:
        parts.append(f"not worse in {'the other ' * bool(improved)}{counted(len(held), 'row')}")
    if losses := [(loss, r) for r in held if (loss := _open_loss(r)) is not None]:
        loss, row = max(losses, key=lambda pair: pair[0])
        parts.append(f"the largest loss that is not excluded: {number(loss, 2)} % of {row.name} (limit {row.limit})")
    return "; ".join(parts)


def _open_loss(row: GateRow) -> float | None:
    """The harmful bound of the change in per cent of the baseline, 0 where it is none; None where it is not known."""
    bound = row.bound_low if row.higher_is_better else row.bound_high
    if bound is None or row.higher_is_better is None or not row.base or row.window:
        return None
    return max(0.0, 100 * (-bound if row.higher_is_better else bound) / abs(row.base))


def worst_first(result: GateResult) -> list[GateRow]:
    """The rows by severity of their verdicts."""
    return sorted(result.rows, key=lambda r: SEVERITY.index(r.verdict))


def row_clips(run: RunFolder, row: GateRow) -> list[str]:
    """Ids of the cases behind a row, the worst first.

    Of a per-clip metric: cases without a score, then the worst scores, if one direction is better. Of a set metric: the clips
    that raise the distance most. A row of a slice has only cases of that shape or tag.
    """
    samples = {s.id: s for s in run.rows(SampleRow)}
    inside = {i for i, s in samples.items() if row.slice in ("all", s.shape, *s.tags)}
    own = [s for s in run.rows(ScoreRow) if s.metric == row.metric and s.id in inside]
    sign = -1 if row.higher_is_better is False else 1
    ids = [s.id for s in own if s.value is None]
    if row.higher_is_better is not None:
        ids += [s.id for s in sorted(own, key=lambda s: sign * (s.value or 0.0)) if s.value is not None]
    shares = [s for s in run.rows(AttributionRow) if s.metric == row.metric and s.id in inside]
    return list(dict.fromkeys([*ids, *(s.id for s in sorted(shares, key=lambda s: s.rank))]))
