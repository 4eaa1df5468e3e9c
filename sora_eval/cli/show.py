"""`sora-eval show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.visible import say

EXAMPLES = "Examples: sora-eval show latest; sora-eval show runs/BASE runs/NEW"


def show(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or 'latest'; further ones are compared with the first.")],
) -> None:
    """Print the table of a finished run again, and the verdicts of its last gate; nothing is computed or written.

    A run that has not ended is named as such, with what it has so far. The exit code says nothing about the verdict.
    """
    from sora_eval.cli.run import show as show_runs
    from sora_eval.records.verdict import GateResult
    from sora_eval.runs.find import resolve_run

    folders = [resolve_run(run) for run in runs]
    results = [GateResult.read(folder.path) for folder in folders]
    show_runs(folders)
    for folder in folders:
        if problem := folder.head.unfinished(str(folder.path)):
            say(f"{folder.path}: {problem}", err=True)
    from sora_eval_reports.text.gate import print_gate

    for result in filter(None, results):
        print_gate(result)
