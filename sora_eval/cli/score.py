"""`sora-eval score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = "Examples: sora-eval score latest; sora-eval score latest --workers 4"


def score(
    run: Annotated[Path, typer.Argument(help="A run folder, or 'latest'.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that score clips; the numbers stay the same.")] = 1,
    trust: Annotated[bool, typer.Option("--trust", help="Open what the run names: code and files, if others made it.")] = False,
) -> None:
    """Score the clips of a run again, from disk, and rebuild its summary."""
    from sora_eval.pipeline.run import rescore
    from sora_eval.runs.folder import resolve_run

    folder = rescore(resolve_run(run, trust), workers)
    from reports.text.runs import print_runs

    print_runs([folder])
