"""`sora-eval validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sora_eval.cli.options import SuiteChanges
from sora_eval.util.visible import say

if TYPE_CHECKING:
    from sora_eval.suite import Suite

EXAMPLES = "Examples: sora-eval validate my_suite.toml; sora-eval validate my_suite.toml -g python:my_model:generate"


def validate(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file.")],
    generator: Annotated[
        str | None,
        typer.Option(
            "--generator",
            "-g",
            help="Check the shapes against it; a suite at the reference model's rate is checked against that by default.",
        ),
    ] = None,
    set_: SuiteChanges = None,
) -> None:
    """Check a suite without running it: keys, types, metrics, prompts, reference, and shapes that the generator can make."""
    from sora_eval.suite import load_suite

    loaded = load_suite(suite, set_ or ())
    checked = generator or _reference_model(loaded)
    if checked:
        from sora_eval.pipeline.plan import validate as check

        check(loaded, checked)
    elif loaded.reference:
        from sora_eval.pipeline.reference import check_reference

        check_reference(loaded, light=True)
    say(
        f"{loaded.path}: valid; {len(loaded.cases)} cases, {len(loaded.metrics)} metrics, fingerprint {loaded.fingerprint}",
        message=True,
    )
    if not checked and (rates := _rates(loaded)):
        asked = " and ".join(f"{rate:g}" for rate in rates)
        say(
            f"its shapes were not checked: the reference model has another rate than {asked} fps; name a generator with -g",
            message=True,
        )


def _rates(suite: Suite) -> list[float]:
    """The different rates that a suite asks for."""
    return list(dict.fromkeys(table.fps for table in (suite.axes, suite.throughput) if table is not None))


def _reference_model(suite: Suite) -> str:
    """The spec of the reference model where a suite asks for its rate alone, else ''."""
    from sora_eval.generators.opening import read_spec

    rates, capabilities = _rates(suite), read_spec("reference").info.capabilities
    return "reference" if rates and capabilities is not None and all(map(capabilities.has_rate, rates)) else ""
