"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

SuiteChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the suite: metrics.clip_score.frames=16. Several times for several.",
    ),
]
