"""What a run publishes, for the formats of other places: its values with their protocols, and what is left out and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sora_eval.runs.rows import MetricRow
from sora_eval.util.errors import RunError
from sora_eval_reports.source import LoadedRun, Source


@dataclass(frozen=True)
class Published:
    """One run of a source, rows of other programs beside its own, and the data set on the hub that its suite is, if any."""

    source: Source
    beside: Sequence[MetricRow] = ()
    dataset: str = ""

    def __post_init__(self) -> None:
        if problem := self.run.head.unfinished(str(self.run.path)):
            raise RunError(f"{self.run.path} is not exported: {problem}")

    @property
    def run(self) -> LoadedRun:
        return self.source.runs[0]

    @cached_property
    def _rows(self) -> list[MetricRow]:
        """Rows of the whole suite, and of speed by shape; oracles are no result of the generator."""
        own = [row for row in self.run.rows(MetricRow) if row.slice == "all" or row.family == "speed"]
        return [*own, *self.beside]

    @cached_property
    def rows(self) -> list[MetricRow]:
        """The rows with a finite value."""
        return [row for row in self._rows if row.status == "ok" and row.value is not None and math.isfinite(row.value)]

    @cached_property
    def left_out(self) -> list[str]:
        """The rows without a value and why, one line each, and that a run is not whole."""
        without = [f"{name_of(row)} is left out: {row.reason or row.status}" for row in self._rows if row not in self.rows]
        return [*([self.note] if self.note else []), *map(self.source.plain, without)]

    @property
    def note(self) -> str:
        """That the run is not of its whole suite; '' for one that is."""
        head = self.run.head
        if head.partial:
            return f"partial: {head.cases} cases of the suite only (--limit {head.limit})"
        return head.stopped_early

    @property
    def suite(self) -> str:
        """`gate version 1 (0123456789abcdef)`, with the changes of --set."""
        head = self.run.head
        changes = self.source.plain(", ".join(head.changes))
        return f"{head.suite} with {changes}" if changes else str(head.suite)

    @property
    def model(self) -> str:
        return self.source.plain(self.run.head.generator.label)

    def signature(self, row: MetricRow) -> str:
        return self.source.plain(row.signature)


def name_of(row: MetricRow) -> str:
    """`METRIC`, or `METRIC[SHAPE]`."""
    return row.metric if row.slice == "all" else f"{row.metric}[{row.slice}]"
