"""`sora-eval report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = "Example: sora-eval report latest --out my_report"


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or 'latest'; the first is the base of comparisons.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the files; by default 'report' in the last run.")] = None,
    clips: Annotated[int, typer.Option(min=1, help="Cases on the contact sheet.")] = 12,
) -> None:
    """Write report.md, a contact sheet of clips, and every table as CSV and parquet."""
    from reports.render import write_report
    from sora_eval.errors import RunError
    from sora_eval.runs import resolve_run

    folders = [resolve_run(r) for r in runs]
    target = out or folders[-1].path / "report"
    try:
        files = write_report(folders, target, clips)
    except OSError as error:
        raise RunError(f"the report cannot be written to {target}: {error.strerror}; choose another --out") from error
    for file in files:
        print(file)
