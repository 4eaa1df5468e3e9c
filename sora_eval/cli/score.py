"""`sora-eval score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = "Example: sora-eval score latest"


def score(run: Annotated[Path, typer.Argument(help="A run folder, or 'latest'.")]) -> None:
    """Score the clips of a run again, from disk, and rebuild its summary."""
    from reports.render import print_runs
    from sora_eval import evaluate
    from sora_eval.runs import resolve_run

    print_runs([evaluate.rescore(resolve_run(run))])
