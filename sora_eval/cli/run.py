"""`sora-eval run`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.errors import SoraEvalError

EXIT_INCOMPLETE = 12
EXAMPLES = (
    "Examples: sora-eval run quick; sora-eval run quick -g reference:early -g reference:base (ends with their "
    "comparison); sora-eval run videos -g folder:my_clips; sora-eval run my.toml -g python:my_model:generate; "
    "sora-eval run --resume latest"
)


def run(
    suite: Annotated[str | None, typer.Argument(help="A shipped name or a TOML file.")] = None,
    generator: Annotated[
        list[str] | None,
        typer.Option("--generator", "-g", help="What to test; see 'list generators'. Several are compared with the first."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N cases; such a run is marked partial.")] = None,
    reference: Annotated[str | None, typer.Option(help="Another reference set, for example folder:REAL.")] = None,
    device: Annotated[str | None, typer.Option(help="Where generators compute: cpu or cuda; an error if it is absent.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with a killed run: its folder, or 'latest'.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score clips; the numbers stay the same.")] = 1,
) -> None:
    """Run a suite against a generator: generate, score, summarise; ends with the table."""
    from reports import render, tables
    from sora_eval import evaluate
    from sora_eval.generators import with_device
    from sora_eval.runs import RunFolder, resolve_run
    from sora_eval.suite import load_suite

    if (suite is None) == (resume is None):
        raise SoraEvalError("give a suite to run, or --resume RUN; shipped suites: 'sora-eval list suites'")
    started = time.monotonic()
    done: list[RunFolder] = []
    if resume is not None:
        if generator or limit or reference or device:
            raise SoraEvalError("--resume takes generator, limit, reference and device from the run; leave them out")
        done.append(evaluate.resume(resolve_run(resume), workers))
    else:
        loaded = load_suite(str(suite))
        for spec in generator or ["reference"]:
            done.append(evaluate.run(loaded, with_device(spec, device), out, limit=limit, reference=reference, workers=workers))
    render.print_runs(done)
    console = tables.console()
    for folder in done:
        console.print(f"{folder.path}  ({time.monotonic() - started:.0f} s)", highlight=False, soft_wrap=True)
    incomplete = [f for f in done if f.head.get("failed_cases") or f.head.get("failed_metrics")]
    for folder in incomplete:
        head = folder.head
        console.print(
            f"incomplete: {head['failed_cases']} of {head['cases']} cases and {head['failed_metrics']} metrics "
            f"failed; the reasons are in {folder.path}/samples.jsonl and metrics.jsonl",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    if incomplete:
        raise typer.Exit(EXIT_INCOMPLETE)
