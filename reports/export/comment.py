"""The comment on a change as files: Markdown, and beside it the contact sheet of the clips to look at."""

from __future__ import annotations

from pathlib import Path

from sora_eval.records.verdict import GateResult
from sora_eval.runs.folder import RunFolder
from sora_eval_reports.answer.verdict import row_clips, worst_first
from sora_eval_reports.export.contact_sheet import contact_sheet
from sora_eval_reports.text.comment import comment

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
    file.write_text(comment(result, run.name, name, clips, run), encoding="utf-8")
    return [file, sheet] if clips else [file]


def worst_clips(run: RunFolder, result: GateResult, count: int = CLIPS) -> tuple[str, ...]:
    """Ids of up to `count` cases behind the rows that are not green, worst row first."""
    clips: dict[str, None] = {}
    for row in worst_first(result):
        if not row.verdict.green:
            clips |= dict.fromkeys(row_clips(run, row)[:PER_ROW])
    return tuple(clips)[:count]
