"""`python -m reference_model train|sample|export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reference_model.errors import ReferenceModelError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Train, sample and export the reference model.",
    pretty_exceptions_enable=False,
)  # fmt: skip


@app.command(epilog="Example: python -m reference_model train --preset tiny --out work/tiny")
def train(
    preset: Annotated[str, typer.Option(help="tiny (seconds), base (shipped; about an hour of 2 cores) or large.")] = "base",
    out: Annotated[Path | None, typer.Option(help="Working folder; started again, it goes on where it was.")] = None,
    stages: Annotated[str, typer.Option(help="Comma-separated: collect,vae,latents,dit,clip.")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Train all networks on the world, stage by stage, with checkpoints and exact resume."""
    import torch

    from reference_model.config import PRESETS
    from reference_model.train import STAGES
    from reference_model.train import train as run

    if preset not in PRESETS:
        raise ReferenceModelError(f"preset {preset!r} is not known; expected one of: {', '.join(PRESETS)}")
    chosen = tuple(s for s in stages.split(",") if s) or STAGES
    for stage in chosen:
        if stage not in STAGES:
            raise ReferenceModelError(f"stage {stage!r} is not known; expected some of: {', '.join(STAGES)}")
    if threads:
        torch.set_num_threads(threads)
    run(PRESETS[preset], out or Path("work") / preset, chosen)


@app.callback()
def _verbs() -> None:
    """Verbs stay verbs, however many there are."""


def main() -> None:
    """Run the command line; errors that a user can mend are one message and exit code 2."""
    try:
        app(standalone_mode=True)
    except ReferenceModelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
