"""`sora-eval history`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Wide

EXAMPLES = (
    "Examples: sora-eval history runs --metric fvd; sora-eval history runs -m fvd -m clip_score --over steps "
    "--baseline baselines/gate.json --png history.png"
)


class Over(StrEnum):
    """The x axis."""

    time = "time"
    steps = "steps"
    commit = "commit"


def history(
    folder: Annotated[Path, typer.Argument(help="A folder of run folders.")] = Path("runs"),
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="What to draw, several times for several; else the suite's gates."),
    ] = None,
    over: Annotated[Over | None, typer.Option(help="By default training steps where runs have them, else time.")] = None,
    suite: Annotated[str | None, typer.Option(help="Runs of this suite only; by default the newest run's.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="A baseline file or a run; by default the first point.")] = None,
    slice_: Annotated[str, typer.Option("--slice", help="all, or a shape such as 32x32x17.")] = "all",
    png: Annotated[Path | None, typer.Option(help="The picture; by default history.png in the folder.")] = None,
    wide: Wide = False,
) -> None:
    """Draw metrics over training steps, commits or time from many runs, with the baseline and the noise of repeats.

    The noise band is where another repeat of the baseline's checkpoint would fall in 95 % of the cases: from runs of one
    checkpoint under other seeds, or from the repeats that the suite's gates record. Below the tables is what the newest run
    that was gated with --series found.
    """
    from sora_eval.studies.history import histories
    from sora_eval.util.errors import RunError
    from sora_eval.util.visible import say

    result = histories(folder, metric or (), over=over.value if over else None, suite=suite, baseline=baseline, label=slice_)
    from sora_eval_reports.export.history import draw, terminal_table
    from sora_eval_reports.text.console import console, line
    from sora_eval_reports.text.tables import terminal

    out, target = console(), png or folder / "history.png"
    for problem in result.problems:
        say(f"warning: {problem}", err=True)
    for chart in result.charts:
        out.print(terminal(terminal_table(chart), f"{chart.metric} of {result.suite} over {chart.axis}"), "")
        for note in chart.notes:
            line(out, note, "yellow")
    for said in result.series:
        line(out, said)
    try:
        draw(result.charts, target)
    except (OSError, ValueError) as error:
        raise RunError(f"the picture cannot be written to {target}: {error}; choose another --png") from error
    say(target)
