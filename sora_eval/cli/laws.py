"""`sora-eval laws`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sora_eval.cli.options import SuiteChanges, Wide

EXAMPLES = "Examples: sora-eval laws world; sora-eval laws world -g reference:middle -g reference:base --limit 50"


def laws(
    suite: Annotated[str, typer.Argument(help="A suite whose prompts have facts: a shipped name or a TOML file.")] = "world",
    generator: Annotated[
        list[str] | None, typer.Option("--generator", "-g", help="What to ask; several are tested against the first.")
    ] = None,
    strength: Annotated[
        float,
        typer.Option(min=0.01, max=1.0, help="How far laws are broken, as a share of the default; at least one jump or frame."),
    ] = 1.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the scenes of the first N prompts.")] = None,
    wide: Wide = False,
    set_: SuiteChanges = None,
) -> None:
    """Does a denoiser find a lawful clip likelier than its unlawful twin? Nothing is generated; a coin is wrong in 50 %.

    Twins are scenes of the world with an object that vanishes or jumps, falls too slowly, sinks into the floor or gains energy.
    """
    from sora_eval.studies.law_preference import law_preference
    from sora_eval.suite import load_suite

    started = time.perf_counter()
    preferences = law_preference(load_suite(suite, set_ or ()), generator or ["reference"], limit, strength)
    seconds = time.perf_counter() - started
    from sora_eval_reports.text.laws import print_laws

    print_laws(preferences, strength, seconds)
