"""`sora-eval validate`."""

from __future__ import annotations

from typing import Annotated

import typer

from sora_eval.cli.options import SuiteChanges
from sora_eval.util.visible import say

EXAMPLES = "Examples: sora-eval validate my_suite.toml; sora-eval validate my_suite.toml -g python:my_model:generate"


def validate(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file.")],
    generator: Annotated[
        str | None,
        typer.Option(
            "--generator",
            "-g",
            help="Check the shapes against it; a suite of prompts is checked against the reference model by default.",
        ),
    ] = None,
    set_: SuiteChanges = None,
) -> None:
    """Check a suite without running it: keys, types, metrics, prompts, reference, and shapes that the generator can make."""
    from sora_eval.suite import load_suite

    loaded = load_suite(suite, set_ or ())
    if generator or loaded.axes or loaded.throughput:
        from sora_eval.pipeline.run import validate as check

        check(loaded, generator or "reference")
    elif loaded.reference:
        from sora_eval.pipeline.reference import check_reference

        check_reference(loaded, light=True)
    say(f"{loaded.path}: valid; {len(loaded.cases)} cases, {len(loaded.metrics)} metrics, fingerprint {loaded.fingerprint}")
