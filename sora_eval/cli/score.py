"""`sora-eval score`."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Device, Wide
from sora_eval.cli.run import is_incomplete, show
from sora_eval.records.verdict import EXIT_INCOMPLETE
from sora_eval.util.errors import SoraEvalError

EXAMPLES = (
    "Examples: sora-eval score latest; sora-eval score latest --stages; "
    "sora-eval score latest --set metrics.clip_score.model=ViT-B-32:openai"
)


def score(
    run: Annotated[Path, typer.Argument(help="A run folder, or 'latest'.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that score clips; the numbers stay the same.")] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Other metrics than the run's, as KEY=VALUE: metrics.clip_score.model=ViT-B-32:openai."),
    ] = None,
    device: Device = None,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages",
            help="Also print the seconds of each stage by metric. Nothing runs beside anything then, and no feature is cached.",
        ),
    ] = False,
    wide: Wide = False,
    trust: Annotated[bool, typer.Option("--trust", help="Open what the run names: code and files, if others made it.")] = False,
) -> None:
    """Score the clips of a run again, from disk, and rebuild its summary."""
    if stages and workers > 1:
        raise SoraEvalError("--stages takes one worker: it scores one clip after the other")
    from sora_eval.pipeline.run import rescore
    from sora_eval.runs.find import resolve_run
    from sora_eval.util.stages import counting

    started = time.monotonic()
    with counting() if stages else nullcontext() as counted:
        folder = rescore(resolve_run(run, trust), workers, set_ or ())
    show([folder], time.monotonic() - started)
    if counted is not None:
        from sora_eval_reports.text.stages import print_stages

        print_stages(counted)
    if is_incomplete(folder):
        raise typer.Exit(EXIT_INCOMPLETE)
