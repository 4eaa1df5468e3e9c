"""Fidelity of clips in the commands that compare two runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sora_eval.util.errors import SuiteError

if TYPE_CHECKING:
    from sora_eval.compare.run_data import RunData

NONE = "none"
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


def with_fidelity(base: RunData, new: RunData, metrics: Sequence[str] = (), drift: Path | None = None) -> RunData:
    """`new` with the fidelity of its clips to those of `base`, as the commands show it: `metrics` are those of --fidelity, and
    of gates, beside the cheap ones. Runs without a case in common stay as they are, and load no network.

    Raises RegistryError and SuiteError for unknown metrics and options, BaselineError for bounds that cannot be read.
    """
    from sora_eval.compare.drift_bounds import bounds_for
    from sora_eval.registry.paired_metrics import CHEAP, paired_specs

    if NONE in metrics and len(metrics) > 1:
        raise SuiteError(f"--fidelity {NONE} goes with no other --fidelity")
    specs = dict.fromkeys([*CHEAP, *metrics])
    if NONE not in metrics:
        paired_specs(tuple(specs))
    bounds = bounds_for(new.head.suite.id, drift)
    if NONE in metrics or not base.samples.keys() & new.samples.keys():
        return new
    from sora_eval.fidelity.measure import measured

    return measured(base, new, tuple(specs), bounds)


def measure(metrics: Sequence[str] = (), drift: Path | None = None) -> partial[RunData]:
    """`with_fidelity` of two runs, with its options bound."""
    return partial(with_fidelity, metrics=metrics, drift=drift)
