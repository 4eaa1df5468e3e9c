"""The comment on a change as files: Markdown, and beside it the contact sheet of the clips to look at."""

from __future__ import annotations

from pathlib import Path

from sora_eval.records.verdict import GateResult
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import AttributionRow, SampleRow, ScoreRow
from sora_eval_reports.export.contact_sheet import contact_sheet
from sora_eval_reports.text.comment import comment
from sora_eval_reports.text.gate import worst_first

SHEET = "worst.png"
CLIPS = 8
PER_ROW = 3  # clips of one row of the gate, so that one metric does not fill the sheet


def write_comment(run: RunFolder, file: Path, name: str) -> list[Path]:
    """Write the comment on the last gate of a run, and `worst.png` beside it if clips are to be seen; returns the files.

    Raises OSError if they cannot be written, RunError if verdicts.json is damaged.
    """
    result = GateResult.read(run.path)
    clips = worst_clips(run, result) if result else ()
    sheet = file.with_name(SHEET)
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.unlink(missing_ok=True)  # of an earlier run
    if clips:
        contact_sheet([run], sheet, cases=clips)
    file.write_text(comment(result, run.name, name, clips), encoding="utf-8")
    return [file, sheet] if clips else [file]


def worst_clips(run: RunFolder, result: GateResult, count: int = CLIPS) -> tuple[str, ...]:
    """Ids of up to `count` cases behind the rows that are not green, worst row first.

    Of a per-clip metric: cases without a score, then the worst scores, if one direction is better. Of a set metric: the clips
    that raise the distance most. A row of a slice has only cases of that shape or tag.
    """
    samples = {s.id: s for s in run.rows(SampleRow)}
    scores, shares = run.rows(ScoreRow), run.rows(AttributionRow)
    clips: dict[str, None] = {}
    for row in worst_first(result):
        if row.verdict.green:
            continue
        inside = {i for i, s in samples.items() if row.slice in ("all", s.shape, *s.tags)}
        own = [s for s in scores if s.metric == row.metric and s.id in inside]
        sign = -1 if row.higher_is_better is False else 1
        ids = [s.id for s in own if s.value is None]
        if row.higher_is_better is not None:
            ids += [s.id for s in sorted(own, key=lambda s: sign * (s.value or 0.0)) if s.value is not None]
        ids += [s.id for s in sorted(shares, key=lambda s: s.rank) if s.metric == row.metric and s.id in inside]
        clips |= dict.fromkeys(ids[:PER_ROW])
    return tuple(clips)[:count]
