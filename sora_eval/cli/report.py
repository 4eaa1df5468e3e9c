"""`sora-eval report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sora_eval.cli.fidelity import DriftFile, FidelityMetrics
from sora_eval.util.visible import say

if TYPE_CHECKING:
    from sora_eval_reports.source import Source

EXAMPLES = (
    "Examples: sora-eval report latest --html; sora-eval report RUN_A RUN_B --html --videos --out compared.html; "
    "sora-eval report RUN_A RUN_B --latex > table.tex; sora-eval report RUN --tensorboard logs; "
    "sora-eval report RUN --mlflow sqlite:///mlflow.db; sora-eval report RUN --wandb PROJECT"
)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or 'latest'; the first is the base of comparisons.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the files, or of --html a file; by default 'report' in the last run."),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Only report.html: one file that opens offline.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Only the table of a paper, printed.")] = False,
    tensorboard: Annotated[Path | None, typer.Option(help="Only write event files for TensorBoard into this folder.")] = None,
    mlflow: Annotated[
        str | None, typer.Option(help="Only log to this MLflow database (sqlite:///mlflow.db), tracking server or folder.")
    ] = None,
    wandb: Annotated[
        str | None,
        typer.Option(
            metavar="PROJECT",
            help="Only log to this project of Weights & Biases, PROJECT or ENTITY/PROJECT; WANDB_MODE=offline writes files.",
        ),
    ] = None,
    clips: Annotated[int, typer.Option(min=0, help="Cases in the page's gallery.")] = 24,
    videos: Annotated[
        bool,
        typer.Option("--videos", help="Keep whole videos in a folder beside the page: of clips over 224 px or 48 frames."),
    ] = False,
    step: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Training steps of a run's checkpoint, once per run in their order, where it records none."),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Show clips outside of the folders of runs that others made.")] = False,
    selfcheck: Annotated[Path | None, typer.Option(help="A selfcheck.json for the page; else one that lies in a run.")] = None,
    fidelity: FidelityMetrics = None,
    drift: DriftFile = None,
) -> None:
    """Write report.html, report.md, a contact sheet of clips, and every table as CSV and parquet.

    The report names runs that cannot be read, missing timings and deleted clips; it is still built.
    """
    from sora_eval.fidelity.asked import measure
    from sora_eval.util.errors import RunError
    from sora_eval_reports.source import open_source

    source = open_source(runs, trust, step, measure(fidelity or (), drift))
    for problem in source.problems:
        say(f"warning: {problem}", err=True)
    only = [html, latex, tensorboard is not None, mlflow is not None, wandb is not None]
    if not source.runs and (not html and any(only)):
        raise RunError("no run could be read")
    folder = source.runs[-1].path / "report" if source.runs else Path()
    file = (out or folder) / "report.html"
    if out is not None and out.suffix.lower() in (".html", ".htm"):
        if not html:
            raise RunError(f"--out {out} is a page; add --html, or name a folder")
        file = out
    try:
        if latex:
            from sora_eval_reports.export.latex import table

            say(table(source).rstrip("\n"))
            for reason in source.refused:
                say(f"warning: {reason}", err=True)
        _log(source, tensorboard, mlflow, wandb)
        if html or not any(only):
            from sora_eval_reports.page.page import render

            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_name(f"{file.stem}_videos") if videos else None
            if beside:
                from sora_eval_reports.page.videos import forecast

                say(f"{beside}: {forecast(source, clips)}", err=True)
            file.write_text(render(source, clips, selfcheck, beside), encoding="utf-8")
            say(file)
        if not any(only) and source.runs:
            from sora_eval_reports.export.report import write_report

            for path in write_report(source, out or folder):
                say(path)
    except OSError as error:
        raise RunError(f"the report cannot be written to {out or folder}: {error.strerror}; choose another --out") from error


def _log(source: Source, tensorboard: Path | None, mlflow: str | None, wandb: str | None) -> None:
    """Write the runs into the trackers that are asked for, and print where they are."""
    from sora_eval_reports.export.trackers import to_mlflow, to_tensorboard, to_wandb

    if tensorboard is not None:
        say(f"{tensorboard}: {to_tensorboard(source, tensorboard)} scalars")
    if mlflow is not None:
        say("\n".join(f"{mlflow}: run {i}" for i in to_mlflow(source, mlflow)))
    if wandb is not None:
        say("\n".join(f"{wandb}: {place}" for place in to_wandb(source, wandb)))
