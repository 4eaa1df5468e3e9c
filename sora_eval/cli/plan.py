"""`sora-eval plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import SuiteChanges, Wide

EXAMPLES = (
    "Examples: sora-eval plan gate --pool runs/pool --out plan.png; "
    "sora-eval plan my.toml -g python:mine:new --against python:mine:old --baseline-seeds 8 --write"
)


def plan(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file, with gates.")],
    generator: Annotated[str, typer.Option("--generator", "-g", help="The checkpoint to repeat.")] = "reference",
    pool: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs/pool"),
    against: Annotated[
        str | None, typer.Option(help="Another checkpoint, to measure how unlike a change is from prompt to prompt.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=2, help="Runs of the checkpoint; left out, as many as a baseline and a run have seeds.")
    ] = None,
    baseline_seeds: Annotated[int, typer.Option(min=1, help="Seeds per prompt of the baseline.")] = 4,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds per prompt of a run; left out, the suite's.")] = None,
    passing: Annotated[
        float, typer.Option("--pass", min=0.01, max=0.999, help="Chance of a whole PASS to reach when nothing changed.")
    ] = 0.9,
    found: Annotated[
        float, typer.Option(min=0.01, max=0.999, help="Chance of REGRESSED to reach at a change of twice a limit.")
    ] = 0.9,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A PNG with the chances as curves.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write seeds, prompts and limits of the cheapest design into the suite.")
    ] = False,
    wide: Wide = False,
    set_: SuiteChanges = None,
) -> None:
    """Plan the size of a gate: its chances of PASS and REGRESSED against prompts, seeds and limits, and the cheapest way.

    The chances follow from the variance of scores over prompts and seeds, measured on repeats of one checkpoint.
    """
    from sora_eval.suite import load_suite
    from sora_eval.util.errors import SuiteError

    if write and set_:
        raise SuiteError("--write writes into the suite file, which --set does not change; leave one of them out")
    loaded = load_suite(suite, set_ or ())
    from sora_eval.studies.plan import plan as make_plan
    from sora_eval.studies.planning import Goal
    from sora_eval.util.errors import RunError
    from sora_eval.util.visible import say

    result = make_plan(
        loaded,
        generator,
        pool,
        against=against,
        repeats=repeats,
        seeds=(baseline_seeds, seeds),
        goal=Goal(passing, found),
        write=write,
    )
    from sora_eval_reports.text.plan import print_plan

    print_plan(result)
    if out is not None:
        from sora_eval_reports.export.plan import draw

        try:
            draw(result, out)
        except (OSError, ValueError) as error:
            raise RunError(f"the picture cannot be written to {out}: {error}; choose another --out") from error
        say(out)
    if write:
        say(
            f"wrote the design into {loaded.path}; runs and baselines of the suite before it cannot be compared with new ones",
            message=True,
        )
    else:
        say("nothing was written; --write puts the cheapest design into the suite", message=True)
