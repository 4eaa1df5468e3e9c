"""`sora-eval show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Wide
from sora_eval.util.visible import say

EXAMPLES = "Examples: sora-eval show latest; sora-eval show runs/BASE runs/NEW"


def show(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or 'latest'; further ones are compared with the first.")],
    beside: Annotated[
        list[Path] | None,
        typer.Option("--with", help="VBench's own result files, or a folder of them, in the table of one run."),
    ] = None,
    notes: Annotated[bool, typer.Option("--notes", help="All notes and reasons; else five lines of them.")] = False,
    wide: Wide = False,
) -> None:
    """Print the table of a finished run again, and the verdicts of its last gate; nothing is computed or written.

    A run that has not ended is named as such, with what it has so far. The exit code says nothing about the verdict.
    """
    from sora_eval.cli.run import show as show_runs
    from sora_eval.records.verdict import GateResult
    from sora_eval.runs.find import resolve_run
    from sora_eval.runs.foreign import vbench_rows
    from sora_eval.util.errors import RunError

    if beside and len(runs) > 1:
        raise RunError("--with goes with the table of one run: results of another program are not compared")
    folders = [resolve_run(run) for run in runs]
    rows = vbench_rows(beside) if beside else []
    results = [GateResult.read(folder.path) for folder in folders]
    show_runs(folders, beside=rows, all_notes=notes)
    for folder in folders:
        if problem := folder.head.unfinished(str(folder.path)):
            say(f"{folder.path}: {problem}", err=True)
    from sora_eval_reports.text.gate import print_gate

    for folder, result in zip(folders, results, strict=True):
        if result is not None:
            print_gate(result, folder, all_notes=notes)
