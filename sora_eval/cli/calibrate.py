"""`sora-eval calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.visible import say

EXAMPLES = (
    "Examples: sora-eval calibrate my.toml -g reference --repeats 5 --metric fvd --metric clip_score --write; "
    "sora-eval calibrate gate --run runs/A --run runs/B --run runs/C"
)


def calibrate(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file.")],
    generator: Annotated[str, typer.Option("--generator", "-g", help="The checkpoint to repeat.")] = "reference",
    repeats: Annotated[int, typer.Option(min=2, help="Runs, each with other seeds.")] = 5,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the runs go; what is there already is used.")] = Path("runs"),
    run: Annotated[list[Path] | None, typer.Option("--run", "-r", help="Use these runs; nothing is generated.")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="Gate this metric too.")] = None,
    share: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Pairs of repeats that shall PASS; fewer give tighter limits and more INCONCLUSIVE."
        ),
    ] = 0.95,
    write: Annotated[bool, typer.Option("--write", help="Write the limits into the suite's \\[gates].")] = False,
) -> None:
    """Measure how far repeats of one checkpoint lie apart, and propose the limits that follow from it."""
    from sora_eval.suite import load_suite

    loaded = load_suite(suite)
    from sora_eval.runs.find import resolve_run
    from sora_eval.studies.calibrate import calibrate as measure

    runs = None if run is None else [resolve_run(r) for r in run]
    calibration = measure(loaded, generator, repeats, out, runs=runs, metrics=metric or (), share=share, write=write)
    from reports.text.calibration import print_calibration

    print_calibration(calibration)
    if write:
        say(f"wrote {len(calibration.limits)} gates into {loaded.path}")
    else:
        say("nothing was written; --write puts the limits of the gated metrics (*) into the suite")
