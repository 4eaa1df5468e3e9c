"""`sora-eval comment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.errors import RunError
from sora_eval.util.visible import say

EXAMPLES = "Example: sora-eval comment latest --out out/comment.md --name gate"


def comment(
    run: Annotated[Path, typer.Argument(help="A run that was gated: its folder, or 'latest'.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The Markdown file; worst.png is put beside it.")] = Path(
        "comment.md"
    ),
    name: Annotated[str, typer.Option(help="Of the hidden marker: one per job that comments on a change.")] = "sora-eval",
) -> None:
    """Write the last verdict of a run as a comment on a change: what is not green and why, and its worst clips.

    The first line is a hidden marker, by which a CI job finds its comment again and replaces it.
    """
    from sora_eval.runs.find import resolve_run
    from sora_eval_reports.export.comment import write_comment

    folder = resolve_run(run)
    try:
        files = write_comment(folder, out, name)
    except OSError as error:
        raise RunError(f"{error.filename or out} cannot be written: {error.strerror}; choose another --out") from error
    for file in files:
        say(file)
