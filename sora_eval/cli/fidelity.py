"""Options of fidelity, for the commands that compare two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FidelityMetrics = Annotated[
    list[str] | None,
    typer.Option(
        "--fidelity",
        metavar="METRIC",
        help="Compare the clips of equal cases by this paired metric too, NAME\\[?option=value&...], 'all', or 'none' of them "
        "(of themselves: fidelity.psnr, fidelity.ssim).",
    ),
]
DriftFile = Annotated[
    Path | None,
    typer.Option("--drift", help="Bounds of 'calibrate --drift'; left out, baselines/drift/SUITE.json where it exists."),
]
