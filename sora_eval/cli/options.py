"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer


def _compute_on(context: typer.Context, device: str | None) -> str | None:
    """Networks of metrics compute there until the verb ends. Raises DeviceError where it is unknown or absent."""
    if device is not None:
        from sora_eval.features.device import networks_on

        context.with_resource(networks_on(device))
    return device


def is_there(device: str | None) -> str | None:
    """The device of a generator. Raises DeviceError for an absent GPU; what else it knows, the generator knows."""
    if device is not None and device.startswith("cuda"):
        from sora_eval.features.device import present

        present(device)
    return device


def _wide(context: typer.Context, wide: bool) -> bool:
    """Tables are as wide as they are until the verb ends."""
    if wide:
        from sora_eval.util.terminal import wide_tables

        context.with_resource(wide_tables())
    return wide


Wide = Annotated[
    bool, typer.Option("--wide", callback=_wide, help="Whole tables, however wide; else they fit the terminal, or 80 columns.")
]

Device = Annotated[
    str | None,
    typer.Option(
        metavar="cpu|cuda[:N]",
        callback=_compute_on,
        help="Where networks compute; an error if it is absent. Default: the CPU.",
    ),
]

SuiteChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the suite: metrics.clip_score.frames=16. Several times for several.",
    ),
]
