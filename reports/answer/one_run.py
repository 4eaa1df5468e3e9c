"""The answer of a single run: where it stands between trivial clips and perfect ones, family by family, and what is weakest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from sora_eval.records.scale import MetricScale, Scale
from sora_eval.records.speed_metrics import IN_SHORT
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import MetricRow
from sora_eval_reports.answer.statement import Answer, counted, listed
from sora_eval_reports.numbers import number

WEAKEST = 2
CELLS = 8  # of a bar
NO_SCALE = "no scale of this suite is known, so no value is placed between trivial clips and perfect ones"
ITSELF = "its clips are the reference set itself, so their distances to it say nothing"


def one_run(head: RunHead, metrics: Sequence[MetricRow], scale: Scale | None, *, itself: bool = False) -> Answer:
    """The answer of one run. `itself` says that its clips are those of the reference set."""
    rows = [r for r in metrics if r.slice == "all" and r.family != "speed"]
    label = f"{head.generator.label} on {head.suite.id}"
    problems = _problems(head, rows) + [ITSELF] * itself
    if not rows:
        speed = [r for r in metrics if r.metric in IN_SHORT and r.value is not None]
        values = [f"{r.metric} {r.slice} {number(r.value, 3)} {r.unit}" for r in speed]
        text = f"{label}: {f'timed: {listed(values)}' if values else 'nothing was measured'}"
        return _joined("timed" if speed else "no value", text, problems)
    placed = {} if scale is None else places(rows, scale)
    if itself:
        placed = {r.metric: placed[r.metric] for r in rows if r.metric in placed and r.statistic is None}
    if not placed:
        known = sum(r.value is not None for r in rows)
        text = f"{label}: {known} of {counted(len(rows), 'metric')} have a value; {NO_SCALE}"
        return _joined("values alone", text, problems)
    of_family = by_family(rows, placed)
    stands = ", ".join(f"{share(place)} in {family or 'other metrics'}" for family, place in of_family.items())
    weakest = sorted(placed, key=lambda m: placed[m])[:WEAKEST]
    value = {r.metric: r.value for r in rows}
    words = " and ".join(f"{m} at {share(placed[m])} ({number(value[m], 3)})" for m in weakest)
    text = f"from trivial clips (0) to perfect ones (1), {label} stands at {stands}; weakest: {words}"
    return _joined(f"weakest in {min(of_family, key=lambda f: of_family[f]) or 'other metrics'}", text, problems)


def places(rows: Sequence[MetricRow], scale: Scale) -> dict[str, float]:
    """Where each metric of a run is, of those that have a scale under their signature."""
    out = {}
    for r in rows:
        known = scale.of(r.metric, r.signature)
        place = None if known is None or r.status != "ok" else known.place(r.value, r.n_scored)
        if place is not None:
            out[r.metric] = place
    return out


def by_family(rows: Sequence[MetricRow], placed: Mapping[str, float]) -> dict[str, float]:
    """The mean place of the metrics of each family, each cut to 0 .. 1: what is past perfect does not make up for a loss."""
    families: dict[str, list[float]] = {}
    for r in rows:
        if r.metric in placed:
            families.setdefault(r.family, []).append(min(max(placed[r.metric], 0.0), 1.0))
    return {family: fmean(own) for family, own in families.items()}


def share(place: float) -> str:
    """A place with two digits behind the point; a small distance from an end is not rounded away.

    >>> share(0.666), share(0.9991), share(1.0), share(-0.2)
    ('0.67', '0.999', '1', 'below 0')
    """
    if place < 0:
        return "below 0"
    if place > 1:
        return "past 1"
    text = f"{place:.2f}" if round(place, 2) not in (0.0, 1.0) or place in (0.0, 1.0) else f"{place:.3f}"
    return {"0.00": "0", "1.00": "1", "0.000": "0.001", "1.000": "0.999"}.get(text, text)


def bar(place: float | None) -> str:
    """A place on the scale as a bar.

    >>> bar(0.35), bar(1.2), bar(-0.1), bar(None)
    ('###..... 0.35', '######## past 1', '........ below 0', '-')
    """
    if place is None:
        return "-"
    full = round(CELLS * min(max(place, 0.0), 1.0) + 1e-9)
    return f"{'#' * full}{'.' * (CELLS - full)} {share(place)}"


def marks_words(scale: MetricScale) -> str:
    """The marks of a metric in words: `black 0, noise below 0, vae 0.93, perfect 1`."""
    places = [(name, scale.place(mark.value)) for name, mark in scale.marks.items()]
    return ", ".join(f"{name} {share(p)}" for name, p in sorted(places, key=lambda x: (x[1] is None, x[1])) if p is not None)


def _problems(head: RunHead, rows: Sequence[MetricRow]) -> list[str]:
    out = []
    if head.status != "success":
        out.append(f"the run has not ended (status {head.status})")
    if head.partial:
        out.append(f"a part of its suite ({head.part})")
    if head.failed_cases:
        out.append(f"{head.failed_cases} of {counted(head.cases, 'case')} failed")
    if broken := [r.metric for r in rows if r.value is None]:
        out.append(f"without a value: {listed(broken)}")
    return out


def _joined(word: str, text: str, problems: list[str]) -> Answer:
    return Answer(word, "; ".join([text, *problems]), "open" if problems else "none")
