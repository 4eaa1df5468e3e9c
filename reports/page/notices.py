"""Notices of a report: missing, failed and differing parts of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow, TimingRow
from sora_eval.util.errors import RunError
from sora_eval_reports.numbers import number
from sora_eval_reports.source import LoadedRun, Source
from sora_eval_reports.text.tables import clip_notes

# Facts of a run that no number depends on.
NOT_COMPARED = (
    "started",
    "finished",
    "command",
    "cases",
    "failed_cases",
    "failed_metrics",
    "schema_version",
    "status",
    "run",
    "error",
)
RESULTS = ("bench.session", "bench.open_seconds", "bench.cost")  # measured, or other in every run

KINDS = 5  # of errors that are listed one by one
NAMED = 3  # runs that a line names; of more, their number


@dataclass(frozen=True)
class Difference:
    """One fact, its value in every run as text, and whether they differ."""

    name: str
    values: list[str]

    @property
    def differs(self) -> bool:
        """Whether the runs have more than one value."""
        return len(set(self.values)) > 1


def missing(source: Source) -> list[str]:
    """Omitted, failed and missing parts, one sentence each; empty for a complete report."""
    out = [*source.problems, *source.refused]
    out += _merged(source, ((run, line) for run in source.runs for line in _of_run(run)))
    out += _merged(source, ((run, f"against the base: {w}") for run, c in source.compared for w in c.warnings))
    return list(dict.fromkeys(source.plain(line) for line in out))


def _merged(source: Source, lines: Iterable[tuple[LoadedRun, str]]) -> list[str]:
    """A line that several runs have is said once, of all of them."""
    found: dict[str, list[str]] = {}
    for run, line in lines:
        found.setdefault(line.replace(run.name, "RUN"), []).append(run.name)
    return [
        f"{_names(source, runs)}: {line.replace('RUN', runs[0]) if len(runs) == 1 else line}" for line, runs in found.items()
    ]


def _names(source: Source, runs: Sequence[str]) -> str:
    """Runs in a few words: their labels, or of many the first ones and how many more."""
    labels = [source.labels[run] for run in dict.fromkeys(runs)]
    if len(labels) == len(source.runs) > 1:
        return f"all {len(labels)} runs"
    return ", ".join(labels) if len(labels) <= NAMED else f"{', '.join(labels[: NAMED - 1])} and {len(labels) - NAMED + 1} more"


def _of_run(run: LoadedRun) -> Iterator[str]:
    head = run.head
    if head.status != "success":
        yield f"the run's status is {head.status}; finish it with 'sora-eval run --resume {run.name}'"
    if head.partial:
        yield f"partial ({head.part}): it holds some of its suite's cases and cannot be gated"
    yield from _clips(run)
    yield from _values(run)
    yield from _timings(run)


def _clips(run: LoadedRun) -> Iterator[str]:
    samples = run.rows(SampleRow)
    errors = Counter(r.error for r in samples if r.status != "ok")
    for error, n in errors.most_common(KINDS):
        yield f"{n} of {len(samples)} clips failed: {error}"
    if len(errors) > KINDS:
        yield f"{len(errors) - KINDS} more kinds of errors are in samples.jsonl"
    clips, outside = [r for r in samples if r.status == "ok"], 0
    missing_ids = []
    for r in clips:
        try:
            missing_ids += [] if run.clip_file(r.clip).is_file() else [r.id]
        except RunError:
            outside += 1
    if outside:
        yield (
            f"{outside} of {len(clips)} clips lie outside of the run folder and are not shown, since the run was not made here "
            "by you; --trust follows them"
        )
    if not samples:
        yield "no clips: the run has no cases, or generated none yet"
    elif len(missing_ids) == len(clips):
        yield "no clips: their files are not there, so nothing can be played"
    elif missing_ids:
        yield f"{len(missing_ids)} clips were deleted, for example that of {missing_ids[0]}"


def _values(run: LoadedRun) -> Iterator[str]:
    metrics = run.rows(MetricRow)
    if not metrics:
        yield "no metrics yet"
    for r in metrics:
        if r.slice == "all" and r.status != "ok":
            yield f"{r.metric} has no value ({r.status}): {r.reason}"
    failed = Counter(r.metric for r in run.rows(ScoreRow) if r.status == "error")
    for metric, n in failed.items():
        yield f"{metric}: {n} scores failed"


def _timings(run: LoadedRun) -> Iterator[str]:
    timings = run.rows(TimingRow)
    if not timings:
        yield "no timings: the suite has no [throughput], or it was not measured; the section on speed is empty"
    repeats = Counter(r.id for r in timings if r.stage == "whole")
    if once := [i for i, n in repeats.items() if n == 1]:
        yield f"one repeat only of {len(once)} timed shapes: no spread is known; set [throughput].repeats to 5 or more"
    for r in timings:
        if r.stage == "failed":
            yield f"speed of {r.id} was not measured: {r.reason}"


def reasons(source: Source) -> list[str]:
    """Reasons of undefined scores and of values, and what was assumed of clips, one line each; no failures."""
    out: dict[tuple[str, str], list[str]] = {}
    for run in source.runs:
        for r in run.rows(MetricRow):
            if r.slice == "all" and r.status == "ok" and r.reason:
                out.setdefault((run.name, r.reason), []).append(r.metric)
    named = {run.name: run for run in source.runs}
    lines = [(named[run], f"{', '.join(metrics)}: {reason}") for (run, reason), metrics in out.items()]
    lines += [(run, line) for run in source.runs for line in clip_notes((r.id, r.notes) for r in run.rows(SampleRow))]
    return [source.plain(line) for line in _merged(source, lines)]


def environment(source: Source) -> list[Difference]:
    """Facts of every run, differing ones first."""
    flat = [
        dict(_flatten({k: v for k, v in run.head.model_dump(mode="json", exclude_none=True).items() if k not in NOT_COMPARED}))
        for run in source.runs
    ]
    names = list(dict.fromkeys(name for facts in flat for name in facts))
    return _ordered(Difference(name, [source.plain(facts.get(name, "-")) for facts in flat]) for name in names)


def signatures(source: Source) -> list[Difference]:
    """The protocol of every metric in every run, differing ones first."""
    signatures = [{r.metric: r.signature for r in run.rows(MetricRow)} for run in source.runs]
    names = list(dict.fromkeys(name for run in signatures for name in run))
    return _ordered(Difference(name, [source.plain(run.get(name, "-") or "-") for run in signatures]) for name in names)


def _ordered(differences: Iterator[Difference]) -> list[Difference]:
    return sorted(differences, key=lambda d: not d.differs)


def _flatten(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if name in RESULTS:
            continue
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value)) or "-"
        elif isinstance(value, float):
            yield name, number(value)
        else:
            yield name, "-" if value is None else str(value)
