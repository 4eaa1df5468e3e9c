"""Repeats of one checkpoint under other seeds: existing runs are reused, killed ones resumed."""

from __future__ import annotations

from pathlib import Path

from sora_eval.generators.identity import identity_of
from sora_eval.generators.opening import open_generator
from sora_eval.pipeline import run as evaluate
from sora_eval.runs.find import find_runs, usual_seconds
from sora_eval.runs.folder import RunFolder
from sora_eval.suite import Suite
from sora_eval.util.errors import SuiteError
from sora_eval.util.progress import LONG, announce, duration
from sora_eval.util.redaction import redact
from sora_eval.util.visible import say

# Seed offset between two repeats: prime, and no multiple of it is the offset of a suite's reference set.
STEP = 100_003


def repeat(suite: Suite, spec: str, repeats: int, out: Path) -> list[RunFolder]:
    """`repeats` runs of a suite whose seeds are shifted by multiples of STEP; runs in `out` are reused.

    Raises SuiteError for a suite without [axes], and what `pipeline.run.run` raises.
    """
    if suite.axes is None:
        raise SuiteError(f"{suite.path} has no [axes]: clips that exist have no other seeds; give runs with --run")
    fingerprint = redact(identity_of(open_generator(spec), spec).fingerprint)
    existing = [_existing(suite, fingerprint, out, k * STEP) for k in range(repeats)]
    missing = sum(run is None or run.head.status != "success" for run in existing)
    usual = usual_seconds(out, suite.fingerprint)
    if missing > 1 or (usual or 0.0) >= LONG:
        known = f", about {duration(usual * missing)} as earlier runs took" if usual is not None else ""
        announce(
            f"{suite.suite.id}: {missing} of {repeats} runs of {redact(spec)} are made{known}; {len(suite.cases)} clips each"
        )
    return [_one(suite, spec, fingerprint, out, k * STEP) for k in range(repeats)]


def _existing(suite: Suite, fingerprint: str, out: Path, offset: int) -> RunFolder | None:
    """The run of a suite with these seeds in `out`, finished or not."""
    for run in find_runs(out):
        head = run.head
        same = (head.suite.fingerprint, head.generator.fingerprint, head.seed_offset, head.partial)
        if same == (suite.fingerprint, fingerprint, offset, False) and not head.not_whole:
            return run
    return None


def _one(suite: Suite, spec: str, fingerprint: str, out: Path, offset: int) -> RunFolder:
    run = _existing(suite, fingerprint, out, offset)
    if run is None:
        return evaluate.run(suite, spec, out, seed_offset=offset)
    if run.head.status != "success":
        return evaluate.resume(run)
    if run.head.generator.not_covered:
        say(f"{run.path} is used again; its fingerprint does not cover {run.head.generator.not_covered}", err=True)
    return run
