"""The order of checkpoints by family: a table per family, and the reasons where the order does not hold."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sora_eval.compare.checkpoints import CheckpointOrder, Order, Step
from sora_eval.util.terminal import is_wide
from sora_eval_reports.answer.ladder import ladder
from sora_eval_reports.numbers import interval, number
from sora_eval_reports.text.answer import answered
from sora_eval_reports.text.console import console, line
from sora_eval_reports.text.tables import terminal

TITLES = {"distribution": "Distribution", "text": "Text", "temporal": "Temporal", "physics": "Physics"}


def title(family: str) -> str:
    """A family's name as a heading.

    >>> title("physics"), title("")
    ('Physics', 'Other')
    """
    return TITLES.get(family, family.capitalize() or "Other")


def by_family(rungs: Sequence[CheckpointOrder]) -> dict[str, list[CheckpointOrder]]:
    """Rungs by family, in the order of `TITLES`; families without a metric are left out."""
    names = dict.fromkeys([*TITLES, *(r.family for r in rungs)])
    members = {name: [r for r in rungs if r.family == name] for name in names}
    return {name: rows for name, rows in members.items() if rows}


def table(rungs: Sequence[CheckpointOrder], labels: Sequence[str]) -> pd.DataFrame:
    """One row per metric, as strings: values along the ladder, the change of each step with its interval, and the order."""
    rows = []
    for r in rungs:
        values = {label: number(v) for label, v in zip(labels, r.values, strict=True)}
        steps = {f"step {i}": _change(s) for i, s in enumerate(r.steps, 1)}
        arrow = {True: "higher", False: "lower", None: "-"}[r.higher_is_better]
        rows.append({"metric": r.metric, "better": arrow, **values, **steps, "order": str(r.order)})
    return pd.DataFrame(rows)


def turned_table(rungs: Sequence[CheckpointOrder], labels: Sequence[str]) -> pd.DataFrame:
    """One row per checkpoint, as strings, and a column per metric: its value, with + or - where it is better or worse beyond
    noise than the checkpoint before."""
    signs = {Order.HOLDS: " +", Order.REVERSED: " -"}
    rows = []
    for i, label in enumerate(labels):
        cells = {r.metric: number(r.values[i], 3) + (signs.get(r.steps[i - 1].order, "  ") if i else "  ") for r in rungs}
        rows.append({"checkpoint": label, **cells})
    return pd.DataFrame(rows)


def _change(step: Step) -> str:
    d = step.change
    if step.order is Order.UNKNOWN:
        return "no test"
    return f"{number(d.change)} ({interval(d.interval.low, d.interval.high)})"


def sentence(name: str, rungs: Sequence[CheckpointOrder], labels: Sequence[str]) -> str:
    """Whether the order holds for a family, in a sentence."""
    orders = [r.order for r in rungs if r.order is not Order.NEITHER]
    holding = orders.count(Order.HOLDS)
    order = " < ".join(labels)
    if not orders:
        return f"{title(name)}: no metric with a better end"
    if holding == len(orders):
        return f"{title(name)}: {order} holds for all {holding} metrics"
    rest = [f"{o}: {orders.count(o)}" for o in Order if o is not Order.HOLDS and o in orders]
    return f"{title(name)}: {order} holds for {holding} of {len(orders)} metrics ({', '.join(rest)})"


def reasons(rungs: Sequence[CheckpointOrder]) -> list[str]:
    """The steps and reasons of metrics whose order does not hold; equal reasons share a line."""
    shared: dict[str, list[str]] = {}
    for r in rungs:
        if r.order not in (Order.HOLDS, Order.NEITHER):
            shared.setdefault(_reason(r), []).append(r.metric)
    return [f"{', '.join(names)}: {why}" for why, names in shared.items()]


def _reason(r: CheckpointOrder) -> str:
    parts = [_why(s, r.unit) for s in r.steps if s.order is not Order.HOLDS]
    if len(r.steps) > 1:
        ends = f"{r.whole.base} to {r.whole.new}"
        words = {Order.HOLDS: "is better beyond noise", Order.REVERSED: "is worse beyond noise"}
        parts.append(f"the whole way, {ends}, {words.get(r.whole.order, f'is {r.whole.order} too')}")
    return "; ".join(parts)


def _why(step: Step, unit: str) -> str:
    d, where = step.change, f"{step.base} to {step.new}"
    unit = "" if unit == "1" else f" {unit}"
    if step.order is Order.UNKNOWN:
        return f"{where} cannot be tested: {d.reason or d.note or 'too few pairs'}"
    facts = f"{number(d.change)}{unit} (95 % {interval(d.interval.low, d.interval.high)}, p {number(d.p)}, n {d.n})"
    if step.order is Order.REVERSED:
        return f"{where} is reversed: {facts}"
    if d.change == 0:
        return f"{where} changes nothing (n {d.n})"
    least = "" if step.least is None else f"; these {d.units} {d.counted} show changes from {number(step.least)}{unit} on"
    return f"{where} is within noise: {facts}{least}"


def print_order(rungs: Sequence[CheckpointOrder], labels: Sequence[str]) -> None:
    """Print the answer, a table per family, the reasons, and a sentence per family."""
    out = console()
    answered(out, ladder(rungs, labels))
    families = by_family(rungs)
    for name, own in families.items():
        if is_wide():
            out.print(terminal(table(own, labels), f"{title(name)} ({steps_of(labels)})"), "")
        else:
            out.print(terminal(turned_table(own, labels), title(name)), "")
    if not is_wide():
        line(out, "+ better, - worse beyond noise than the checkpoint before; --wide shows each step and why", "dim")
    else:
        for own in families.values():
            for reason in reasons(own):
                line(out, reason, "yellow")
    for name, own in families.items():
        line(out, sentence(name, own, labels))


def steps_of(labels: Sequence[str]) -> str:
    """The steps by number.

    >>> steps_of(["early", "middle", "base"])
    '1: early to middle, 2: middle to base'
    """
    return ", ".join(f"{i}: {a} to {b}" for i, (a, b) in enumerate(zip(labels, labels[1:], strict=False), 1))
