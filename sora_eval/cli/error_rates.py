"""`sora-eval error-rates`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import SuiteChanges, Wide

EXAMPLES = (
    "Examples: sora-eval error-rates gate --pool runs/pool; "
    "sora-eval error-rates my.toml -g python:mine:new --against python:mine:old --draws 200"
)


def error_rates(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file, with gates.")],
    generator: Annotated[str, typer.Option("--generator", "-g", help="The checkpoint of the baseline.")] = "reference",
    against: Annotated[
        list[str] | None, typer.Option(help="Worse generators to find; left out, those of the reference model.")
    ] = None,
    same: Annotated[
        list[str] | None, typer.Option("--same-seeds", help="Generators to pair from the same seeds; left out, likewise.")
    ] = None,
    seeds: Annotated[tuple[int, int], typer.Option(min=1, help="Seeds per prompt of the baseline and of the run.")] = (4, 2),
    pool: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs/pool"),
    repeats: Annotated[int, typer.Option(min=2, help="Runs of the baseline's checkpoint, each with other seeds.")] = 6,
    others: Annotated[int, typer.Option(min=1, help="Runs of each other generator.")] = 2,
    draws: Annotated[int, typer.Option(min=10, help="A/A pairs of virtual runs.")] = 1000,
    power: Annotated[int, typer.Option(min=10, help="Pairs for each other generator.")] = 200,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw and gate; the numbers stay the same.")] = 2,
    wide: Wide = False,
    set_: SuiteChanges = None,
) -> None:
    """Measure how often a suite's gate errs, and what it finds, on pairs of runs drawn from a pool of real ones."""
    from sora_eval.suite import load_suite

    loaded = load_suite(suite, set_ or ())
    from sora_eval.studies.gate_errors import WORSE, gate_errors

    errors = gate_errors(
        loaded,
        generator,
        WORSE if against is None else against,
        pool,
        same_seeds=same,
        seeds=seeds,
        repeats=repeats,
        others=others,
        draws=draws,
        power=power,
        workers=workers,
    )
    from sora_eval_reports.text.error_rates import print_rates

    print_rates(errors)
