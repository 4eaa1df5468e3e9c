"""From differences to verdicts. Pure. REGRESSED needs the limit, the floor and the test; PASS needs the interval inside."""

from __future__ import annotations

from collections.abc import Mapping

from sora_eval.runs import RunFolder
from sora_eval.sides import Side
from sora_eval.suite import Gate
from sora_eval.verdicts import GateResult


def gate(
    run: RunFolder | Side,
    baseline: RunFolder | Side | None,
    gates: Mapping[str, Gate],
    *,
    strict: bool = False,
    profile: str | None = None,
    other_seeds: bool = False,
) -> GateResult:
    """Judge a run against a baseline by the gates of its suite.

    `other_seeds` lets runs of other seeds be compared, as `calibrate` and studies of error rates do.
    """
    raise NotImplementedError
