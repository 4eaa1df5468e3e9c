"""The answer of a ladder of checkpoints: is it still improving, and what stopped, since which checkpoint?

A metric still improves where the last checkpoint is better beyond noise than the one before. Else it has stopped since the
earliest checkpoint than which the last one is not better: many small steps, each within noise, do not hide a gain. Each
checkpoint's tests against the last are corrected over the metrics (Holm), since one of twenty would differ by chance.
"""

from __future__ import annotations

from collections.abc import Sequence

from sora_eval.compare.checkpoints import CheckpointOrder, Order
from sora_eval.stats.power import ALPHA, holm
from sora_eval_reports.answer.statement import Answer, Tone, counted, listed, moved


def ladder(rungs: Sequence[CheckpointOrder], labels: Sequence[str]) -> Answer:
    """The answer of a ladder; `labels` are those of its checkpoints, in order."""
    known = [r for r in rungs if r.higher_is_better is not None and r.to_last[-1].order is not Order.UNKNOWN]
    way = f"{labels[0]} to {labels[-1]}"
    if not known:
        return Answer("cannot tell", f"{way}: no metric has a better end and a test of the last step", "open")
    orders = corrected(known)
    still = [r for r in known if orders[r.metric][-1] is Order.HOLDS]
    worse = [r for r in known if orders[r.metric][-1] is Order.REVERSED]
    gained = f"in {len(still) or 'none'} of {counted(len(known), 'metric')}{f': {_ends(still)}' if still else ''}"
    parts = [f"{labels[-1]} is better than {labels[-2]} beyond noise {gained}", f"worse in {_ends(worse)}" if worse else ""]
    stopped: dict[int, list[str]] = {}
    for r in known:
        if r not in still and r not in worse:
            stopped.setdefault(stopped_since(orders[r.metric]), []).append(r.metric)
    for since, metrics in sorted(stopped.items(), reverse=True):
        words = f"since {labels[since]} no gain beyond noise" if since else "no gain beyond noise on the whole way"
        parts.append(f"{words}: {listed(metrics)}")
    word, tone = _word(bool(still), bool(worse))
    return Answer(word, f"{way}: {'; '.join(filter(None, parts))}", tone)


def _word(still: bool, worse: bool) -> tuple[str, Tone]:
    if worse:
        return ("still improving in part", "open") if still else ("worse at the end", "bad")
    return ("still improving", "good") if still else ("no longer improving", "open")


def _ends(rungs: Sequence[CheckpointOrder]) -> str:
    return listed([moved(r.metric, r.values[-2], r.values[-1]) for r in rungs])


def corrected(known: Sequence[CheckpointOrder]) -> dict[str, list[Order]]:
    """By metric the order of every checkpoint and the last one; within noise where Holm's correction says so."""
    orders: dict[str, list[Order]] = {r.metric: [] for r in known}
    for i in range(len(known[0].to_last)):
        steps = [r.to_last[i] for r in known]
        tested = [s for s in steps if s.change.p is not None]
        p = dict(zip(map(id, tested), holm([s.change.p or 0.0 for s in tested]), strict=True))
        for r, s in zip(known, steps, strict=True):
            unsure = s.order in (Order.HOLDS, Order.REVERSED) and p.get(id(s), 1.0) > ALPHA
            orders[r.metric].append(Order.NOISE if unsure else s.order)
    return orders


def stopped_since(orders: Sequence[Order]) -> int:
    """The earliest checkpoint than which neither the last one is better beyond noise, nor than any after it.

    >>> stopped_since([Order.HOLDS, Order.NOISE, Order.NOISE]), stopped_since([Order.NOISE, Order.NOISE])
    (1, 0)
    """
    return next((i + 1 for i in reversed(range(len(orders))) if orders[i] is Order.HOLDS), 0)
