"""`sora-eval merge`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Wide
from sora_eval.cli.run import is_incomplete, show
from sora_eval.records.verdict import EXIT_INCOMPLETE

EXAMPLES = "Example: sora-eval merge shards/* -o runs, after 'sora-eval run gate --shard 1/4 -o shards' to 4/4"


def merge(
    runs: Annotated[list[Path], typer.Argument(help="All shards of a run, in any order.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the merged run goes.")] = Path("runs"),
    trust: Annotated[
        bool, typer.Option("--trust", help="Open what the shards name: code and files, if others made them.")
    ] = False,
    wide: Wide = False,
) -> None:
    """Make one run of the shards of a run, and summarise it: the rows are those of a run without shards."""
    from sora_eval.pipeline.shards import merge as merge_shards
    from sora_eval.runs.find import resolve_run

    started = time.monotonic()
    folder = merge_shards([resolve_run(run, trust) for run in runs], out, [Path(sys.argv[0]).name, *sys.argv[1:]])
    show([folder], time.monotonic() - started)
    if is_incomplete(folder):
        raise typer.Exit(EXIT_INCOMPLETE)
