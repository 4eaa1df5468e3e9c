"""The fidelity that a command asks for. Loads no network where two runs have no case in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sora_eval.compare.drift_bounds import bounds_for
from sora_eval.compare.run_data import RunData
from sora_eval.registry.paired_metrics import CHEAP, paired_specs
from sora_eval.util.errors import SuiteError

NONE = "none"


def with_fidelity(base: RunData, new: RunData, metrics: Sequence[str] = (), drift: Path | None = None) -> RunData:
    """`new` with the fidelity of its clips to those of `base`, as the commands show it: `metrics` are those of --fidelity, and
    of gates, beside the cheap ones. Runs without a case in common stay as they are, and load no network.

    Raises RegistryError and SuiteError for unknown metrics and options, BaselineError for bounds that cannot be read.
    """
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


def with_gated(
    base: RunData, new: RunData, gated: Sequence[str], metrics: Sequence[str] = (), drift: Path | None = None
) -> RunData:
    """The same with the paired metrics that gates name; options of them come from --fidelity."""
    asked = [m.partition("?")[0] for m in metrics]
    return with_fidelity(base, new, [*(m for m in gated if m not in asked and NONE not in asked), *metrics], drift)


def measure(metrics: Sequence[str] = (), drift: Path | None = None) -> partial[RunData]:
    """`with_fidelity` of two runs, with its options bound."""
    return partial(with_fidelity, metrics=metrics, drift=drift)
