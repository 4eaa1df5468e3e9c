"""`sora-eval gate`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sora_eval.cli.fidelity import DriftFile, FidelityMetrics
from sora_eval.cli.options import Wide

if TYPE_CHECKING:
    from sora_eval.records.verdict import GateResult
    from sora_eval.runs.folder import RunFolder

EXAMPLES = (
    "Examples: sora-eval gate latest; sora-eval gate latest --baseline baselines/quick.json --strict --junit gate.xml; "
    "sora-eval gate runs/NEW --baseline runs/BASE; sora-eval gate latest --series runs"
)
SUMMARY = "GITHUB_STEP_SUMMARY"


def gate(
    run: Annotated[Path, typer.Argument(help="The run to judge: its folder, or 'latest'.")],
    baseline: Annotated[
        Path, typer.Option("--baseline", "-b", help="A baseline file, a folder of them, or a run folder.")
    ] = Path("baselines"),
    profile: Annotated[str | None, typer.Option(help="Name of the hardware, for gates on speed.")] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--no-strict", help="Exit 11 for what cannot be decided; the default where CI is set."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML, one test case per gate.")] = None,
    suite: Annotated[Path | None, typer.Option(help="Take the gates from this suite file, not from the run.")] = None,
    series: Annotated[
        Path | None, typer.Option(help="A folder of runs: judge this one as the next of those gated before, with one budget.")
    ] = None,
    horizon: Annotated[
        int, typer.Option(min=1, help="With --series: runs after which half of the budget of false alarms is spent.")
    ] = 100,
    wide: Wide = False,
    fidelity: FidelityMetrics = None,
    drift: DriftFile = None,
) -> None:
    """Judge a run against a baseline by the gates of its suite; the last line is the verdict, and how many cases drifted where
    both keep the clips of equal cases.

    Exit codes: 0 every gate PASS or IMPROVED; 10 a regression, under --series also a slow decline; 11 undecided, under
    --strict; 12 the run is incomplete; 2 usage or input.
    """
    from sora_eval.runs.find import resolve_run

    folder = resolve_run(run)
    from sora_eval.fidelity.asked import with_gated
    from sora_eval.gate.gate_run import gate_run
    from sora_eval.util.environment import is_strict

    refuse = is_strict(strict)
    measured = partial(with_gated, metrics=fidelity or (), drift=drift)
    result = gate_run(
        folder, baseline, suite=suite, profile=profile, strict=refuse, series=series, horizon=horizon, measured=measured
    )
    conclude(result, folder, junit)


def conclude(result: GateResult, run: RunFolder, junit: Path | None = None) -> NoReturn:
    """Write JUnit and the job summary, print the table with the verdict as its last line, and exit."""
    from sora_eval.util.errors import SoraEvalError
    from sora_eval_reports.export import junit as xml
    from sora_eval_reports.text import gate as verdicts

    try:
        if junit is not None:
            xml.write(result, junit)
        if summary := os.environ.get(SUMMARY):
            with open(summary, "a", encoding="utf-8") as file:
                file.write(verdicts.gate_markdown(result, run))
    except OSError as error:
        raise SoraEvalError(f"{error.filename} cannot be written: {error.strerror}") from error
    verdicts.print_gate(result, run)
    raise typer.Exit(result.exit_code)
