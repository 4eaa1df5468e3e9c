"""`sora-eval frontier`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Wide

EXAMPLES = (
    "Example: sora-eval bench gate-speed -g reference -a 'reference?steps=10' -a reference:base-int8; then "
    "sora-eval frontier runs/STEPS10 runs/INT8 --bench runs/BENCH1 --bench runs/BENCH2 --bench runs/BENCH3 --out frontier.png"
)


def frontier(
    runs: Annotated[list[Path], typer.Argument(help="Runs of a suite with gates, one per generator.")],
    bench: Annotated[list[Path], typer.Option(help="Runs of one 'sora-eval bench': of the baseline's generator and of each.")],
    baseline: Annotated[
        Path, typer.Option("--baseline", "-b", help="A baseline file, a folder of them, or a run folder.")
    ] = Path("baselines"),
    metric: Annotated[str, typer.Option("--metric", "-m", help="The metric of speed.")] = "latency",
    suite: Annotated[Path | None, typer.Option(help="Take the gates from this suite file, not from the runs.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A PNG of the frontier.")] = None,
    wide: Wide = False,
) -> None:
    """Show what faster generators cost: the gain in speed of each against the share of the gate's limits that it uses up.

    Runs and benches belong together where their generators' fingerprints are equal.
    """
    from sora_eval.gate.baseline import find
    from sora_eval.runs.find import resolve_run
    from sora_eval.studies.frontier import frontier as measure
    from sora_eval.suite import load_suite
    from sora_eval.util.errors import BaselineError, RunError
    from sora_eval.util.visible import say

    folders = [resolve_run(run) for run in runs]
    base = find(baseline, folders[0].head.suite.id)
    if base is None:
        raise BaselineError(
            f"{baseline} holds no baseline of {folders[0].head.suite.id!r}; make one: sora-eval baseline promote"
        )
    points = measure(base, folders, [resolve_run(b) for b in bench], metric, None if suite is None else load_suite(suite))
    from sora_eval_reports.text.frontier import print_frontier

    print_frontier(points, metric)
    if out is not None:
        from sora_eval_reports.export.frontier import draw

        try:
            draw(points, out, metric)
        except (OSError, ValueError) as error:
            raise RunError(f"the picture cannot be written to {out}: {error}; choose another --out") from error
        say(out)
