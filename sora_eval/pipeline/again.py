"""Failed cases are tried again: their rows go when a run is resumed, and its tables end in the order of the plan."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sora_eval.records.case import Case
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.util.errors import GeneratorError

GIVE_UP = 8  # cases that fail for one reason before any has a clip
_VARYING = re.compile(r"[\w-]*\d[\w-]*")  # numbers, ids of jobs, sizes: what differs between two cases of one fault


def drop_failed(folder: RunFolder) -> None:
    """Remove the rows of cases without a clip, and of their scores; the stages make them again.

    Scores go first: whatever stops this, no score outlives the row of the case that it is of.
    """
    samples = folder.rows(SampleRow)
    if failed := {row.id for row in samples if row.status == "error"}:
        folder.replace(ScoreRow, [row for row in folder.rows(ScoreRow) if row.id not in failed])
        folder.replace(SampleRow, [row for row in samples if row.id not in failed])


def in_plan_order(folder: RunFolder, table: type[SampleRow] | type[ScoreRow], cases: Sequence[Case]) -> None:
    """Sort a table of a resumed run by its cases, as an undisturbed run writes it; rows of a case keep their order."""
    place = {case.id: i for i, case in enumerate(cases)}
    rows = folder.rows(table)
    ordered = sorted(rows, key=lambda row: place.get(row.id, len(place)))
    if [row.id for row in ordered] != [row.id for row in rows]:
        folder.replace(table, ordered)


class Failures:
    """Notices a fault of the whole run: its first `most` cases fail for one reason. With 0 it never does."""

    def __init__(self, most: int, earlier: Sequence[SampleRow]) -> None:
        """`earlier` are the rows that the run has; where one has a clip, the generator works."""
        self._most, self._reasons = most, [_VARYING.sub("#", row.error) for row in earlier]
        if any(row.status == "ok" for row in earlier):
            self._most = 0

    def add(self, row: SampleRow, name: str, rest: int) -> None:
        """Note the next row. Raises GeneratorError where it is one failure too many, and `rest` cases are left."""
        if not self._most:
            return
        self._reasons.append(_VARYING.sub("#", row.error))
        if row.status == "ok" or self._reasons[-1] != self._reasons[0]:
            self._most = 0
        elif len(self._reasons) >= self._most and rest:
            raise GeneratorError(
                f"{name}: the first {len(self._reasons)} cases failed for one reason, and the other {rest} were not asked for: "
                f"{row.error}; fix it, then use --resume (--give-up-after 0 asks for all)"
            )
