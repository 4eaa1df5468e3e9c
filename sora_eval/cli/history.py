"""`sora-eval history`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "Examples: sora-eval history runs --metric fvd; sora-eval history runs -m fvd -m clip_score --over steps "
    "--baseline baselines/gate.json --png history.png"
)


class Over(StrEnum):
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
) -> None:
    """Draw metrics over training steps, commits or time from many runs, with the baseline and the noise of repeats.

    The noise band is where another repeat of the baseline's checkpoint would fall in 95 % of the cases: from runs of one
    checkpoint under other seeds, or from the provenance of the suite's gates.
    """
    from reports.export import history as histories
    from reports.source import Source, open_source
    from reports.text import tables
    from sora_eval.runs.folder import find_runs
    from sora_eval.runs.rows import MetricRow
    from sora_eval.util.errors import RunError

    source = open_source([r.path for r in find_runs(folder)])
    if not source.runs:
        raise RunError(f"{folder} holds no runs that can be read; see 'sora-eval list runs --root {folder}'")
    wanted = suite or max(source.runs, key=lambda r: r.head.started).head.suite.id
    kept = Source([r for r in source.runs if r.head.suite.id == wanted and r.rows(MetricRow)], source.problems)
    if not kept.runs:
        raise RunError(f"{folder} holds no finished runs of suite {wanted!r}")
    steps = kept.frames.runs["training_steps"]
    axis = over or (Over.steps if steps.notna().all() and steps.nunique() > 1 else Over.time)
    found = [histories.history(kept, m, axis.value, baseline, slice_) for m in metric or histories.metrics_of(kept)]
    out = tables.console()
    for problem in kept.problems:
        typer.echo(f"warning: {problem}", err=True)
    for one in found:
        out.print(tables.terminal(histories.terminal_table(one), f"{one.metric} of {wanted} over {one.axis}"), "")
        for note in one.notes:
            out.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
    target = png or folder / "history.png"
    try:
        histories.draw(found, target)
    except (OSError, ValueError) as error:
        raise RunError(f"the picture cannot be written to {target}: {error}; choose another --png") from error
    print(target)
