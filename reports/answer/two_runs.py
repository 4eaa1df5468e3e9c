"""The answer of a comparison: better, not worse, worse or cannot tell, by how much and in what.

`Better` needs a metric that is better beyond noise and none that is worse, both after Holm's correction over all metrics of the
comparison, since one of twenty would differ by chance. `Not worse` needs limits: it is what a gate's PASS says.
"""

from __future__ import annotations

from collections.abc import Sequence

from sora_eval.compare.comparison import Comparison, better, note_of
from sora_eval.compare.record import Difference
from sora_eval.records.speed_metrics import IN_SHORT, is_speed
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.stats.power import ALPHA, detectable, holm
from sora_eval_reports.answer.statement import Answer, Tone, counted, listed, moved
from sora_eval_reports.numbers import number


def two_runs(comparison: Comparison, verdict: GateResult | None = None) -> Answer:
    """The answer of two runs. With the `verdict` of a gate of the same two, it says no more than that."""
    rows = [d for d in comparison.rows if (d.metric in IN_SHORT if is_speed(d.metric) else d.slice == "all") and not d.paired]
    pair = f"{comparison.new} against {comparison.base}" if comparison.base != comparison.new else "new against base"
    tested = [d for d in rows if d.status is None and d.p is not None and d.higher_is_better is not None]
    if not tested:
        why = next((note_of(d) for d in rows if d.status is not None), "no metric has a better end and a test")
        return Answer("cannot tell", f"{pair}: nothing can be compared: {why}", "open")
    gains, losses = beyond_noise(tested)
    lost, same = _losses_of_cases(rows), all(d.change == 0 for d in tested)
    word = _word_of(verdict) if verdict else _word(bool(gains), bool(losses), lost, same)
    parts = [f"{verdict.headline}" if verdict else "", lost]
    if losses:
        parts.append(f"{'beyond noise, inside its limits, ' * (word == 'not worse')}worse in {_moves(losses)}")
    if gains and word in ("better", "worse"):
        parts.append(f"better in {_moves(gains)}")
    elif gains:  # what the verdict does not call better is a change
        parts.append(f"moved beyond noise: {_moves(gains)}")
    still = len(tested) - len(gains) - len(losses)
    if same:
        parts.append(f"no value of {counted(len(tested), 'metric')} differs")
    elif not gains and not losses:
        parts.append(f"nothing differs beyond noise{_visible(tested)}")
    elif still:
        parts.append(f"{still} of {counted(len(tested), 'metric')} within noise")
    parts.append(comparison.drift)
    return Answer(word, f"{pair}: {'; '.join(filter(None, parts))}", TONE[word])


TONE: dict[str, Tone] = {"better": "good", "not worse": "good", "worse": "bad", "cannot tell": "open"}


def _word(gains: bool, losses: bool, lost: str, same: bool) -> str:
    """The word without a gate: nothing is better where something is worse, or where cases are gone."""
    if losses:
        return "worse"
    if lost:
        return "cannot tell"
    return "better" if gains else "not worse" if same else "cannot tell"


def _word_of(verdict: GateResult) -> str:
    """The word of a gate's verdict."""
    if verdict.verdict.green:
        return "better" if verdict.verdict is Verdict.IMPROVED else "not worse"
    return "worse" if verdict.verdict is Verdict.REGRESSED else "cannot tell"


def beyond_noise(tested: Sequence[Difference]) -> tuple[list[Difference], list[Difference]]:
    """The rows that are better and worse beyond noise after Holm's correction over all of them: the largest
    effect of every family, then the others."""
    adjusted = holm([d.p or 0.0 for d in tested])
    sure = [d for d, p in zip(tested, adjusted, strict=True) if p <= ALPHA]
    sure.sort(key=_effect, reverse=True)
    return _in_turn([d for d in sure if better(d) == "new"]), _in_turn([d for d in sure if better(d) == "base"])


def _in_turn(rows: Sequence[Difference]) -> list[Difference]:
    """The first row of each family before the others, so that those that are named speak for all."""
    first = {d.family: d for d in reversed(rows)}
    return sorted(rows, key=lambda d: d is not first[d.family])


def _effect(d: Difference) -> float:
    """A change in standard errors."""
    return abs(d.change or 0.0) / d.error if d.error else float("inf") if d.change else 0.0


def _moves(rows: Sequence[Difference]) -> str:
    return listed([moved(_name(d), d.base, d.new, d.change_percent) for d in rows])


def _name(d: Difference) -> str:
    return d.metric if d.slice == "all" else f"{d.metric} {d.slice}"


def _losses_of_cases(rows: Sequence[Difference]) -> str:
    """Cases and metrics that the new run should have and has not, or ''."""
    parts = []
    failed, gone = ({i for d in rows for i in getattr(d.unpaired, name)} for name in ("failed", "missing"))
    if failed:
        parts.append(f"{counted(len(failed), 'case')} failed in new, such as {min(failed)}")
    if gone:
        parts.append(
            f"{counted(len(gone), 'case')} of base {'is' if len(gone) == 1 else 'are'} not in new, such as {min(gone)}"
        )
    absent = [_name(d) for d in rows if d.status in (Verdict.MISSING, Verdict.ERROR) and d.base is not None and d.new is None]
    if absent:
        parts.append(f"new has no value of {listed(absent)}")
    return "; ".join(parts)


def _visible(tested: Sequence[Difference]) -> str:
    """The change that would have been seen, of the metric with the most visible one in per cent."""
    seen = [(100 * detectable(d.error, 0.0) / abs(d.base), d) for d in tested if d.error and d.base]
    if not seen:
        return ""
    share, row = min(seen, key=lambda pair: pair[0])
    return f"; {row.units} {row.counted} see a change of {number(share, 2)} % in {row.metric}, of more in the others"
