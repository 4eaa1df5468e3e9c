"""`sora-eval run`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sora_eval.util.errors import SoraEvalError

if TYPE_CHECKING:
    from sora_eval.records.verdict import GateResult
    from sora_eval.runs.folder import RunFolder

EXIT_INCOMPLETE = 12
EXAMPLES = (
    "Examples: sora-eval run quick; sora-eval run quick -g reference:early -g reference:base (ends with their "
    "comparison); sora-eval run videos -g folder:my_clips; sora-eval run my.toml -g python:my_model:generate; "
    "sora-eval run gate -g reference:middle --until-decided --baseline baselines/gate.json --batch 8; "
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
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Add prompts until the gate is decided or the suite has no more.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", "-b", help="Of --until-decided: a baseline file, a folder of them, or a run folder."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Of --until-decided: prompts between two looks. Default: 8.")] = None,
    spending: Annotated[
        str | None,
        typer.Option(help="Of --until-decided: obrien-fleming (default) or pocock, how the looks share the error rate."),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Of --until-decided: name of the hardware, for gates on speed.")] = None,
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--no-strict", help="Of --until-decided: exit 11 for what stays open; the default where CI is set."
        ),
    ] = None,
) -> None:
    """Run a suite against a generator: generate, score, summarise; ends with the table.

    With --until-decided, whole prompts are added a batch at a time until the gate against --baseline is decided: a row is
    REGRESSED, or all are PASS or IMPROVED. The last line is the verdict and how many prompts it took; the exit code is that of
    'sora-eval gate' (0, 10, 11, 12).
    """
    from reports.text import runs as render
    from reports.text import tables
    from sora_eval.cli.gate import conclude
    from sora_eval.gate import looks as sequential
    from sora_eval.generators.opening import with_device
    from sora_eval.pipeline import run as evaluate
    from sora_eval.runs.folder import resolve_run
    from sora_eval.studies import until_decided as sizing
    from sora_eval.suite import load_suite
    from sora_eval.util.environment import is_strict

    if (suite is None) == (resume is None):
        raise SoraEvalError("give a suite to run, or --resume RUN; shipped suites: 'sora-eval list suites'")
    asked = {"--baseline": baseline, "--batch": batch, "--spending": spending, "--profile": profile, "--strict": strict}
    _refuse_unlike(until_decided, [o for o, value in asked.items() if value is not None], limit, generator or [])
    started = time.monotonic()
    done: list[RunFolder] = []
    result: GateResult | None = None
    if resume is not None:
        if generator or limit or reference or device or until_decided:
            raise SoraEvalError("--resume takes generator, limit, reference, device and baseline from the run; leave them out")
        folder = resolve_run(resume)
        if folder.head.sequential is not None:
            folder, result = sizing.resume(folder, workers)
        else:
            evaluate.resume(folder, workers)
        done.append(folder)
    elif until_decided:
        folder, result = sizing.run_until_decided(
            load_suite(str(suite)),
            with_device((generator or ["reference"])[0], device),
            out,
            baseline or Path("baselines"),
            batch=batch or sequential.BATCH,
            spending=spending or "obrien-fleming",
            reference=reference,
            profile=profile,
            strict=is_strict(strict),
            workers=workers,
        )
        done.append(folder)
    else:
        loaded = load_suite(str(suite))
        for spec in generator or ["reference"]:
            done.append(evaluate.run(loaded, with_device(spec, device), out, limit=limit, reference=reference, workers=workers))
    render.print_runs(done)
    console = tables.console()
    for folder in done:
        console.print(f"{folder.path}  ({time.monotonic() - started:.0f} s)", highlight=False, soft_wrap=True)
    incomplete = _warn_incomplete(done)
    if result is not None:
        conclude(done[0], result)
    if incomplete:
        raise typer.Exit(EXIT_INCOMPLETE)


def _refuse_unlike(until_decided: bool, given: list[str], limit: int | None, generators: list[str]) -> None:
    """Options that do not go together; `given` are those that only --until-decided has."""
    if given and not until_decided:
        raise SoraEvalError(f"{', '.join(given)}: of --until-decided; to judge a whole run, use 'sora-eval gate'")
    if until_decided and (limit is not None or len(generators) > 1):
        raise SoraEvalError("--until-decided takes one generator, and no --limit: the gate decides how many prompts it needs")


def _warn_incomplete(done: list[RunFolder]) -> bool:
    """Say of every run what failed in it; whether anything did."""
    from reports.text import tables

    incomplete = [f for f in done if f.head.failed_cases or f.head.failed_metrics]
    for folder in incomplete:
        head = folder.head
        tables.console().print(
            f"incomplete: {head.failed_cases} of {head.cases} cases and {head.failed_metrics} metrics "
            f"failed; the reasons are in {folder.path}/samples.jsonl and metrics.jsonl",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    return bool(incomplete)
