"""Repeats of one checkpoint under other seeds: existing runs are reused, killed ones resumed."""

from __future__ import annotations

from pathlib import Path

from sora_eval.generators.identity import identity_of
from sora_eval.generators.opening import open_generator
from sora_eval.pipeline import run as evaluate
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder
from sora_eval.suite import Suite
from sora_eval.util.errors import SuiteError
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
    return [_one(suite, spec, fingerprint, out, k * STEP) for k in range(repeats)]


def _one(suite: Suite, spec: str, fingerprint: str, out: Path, offset: int) -> RunFolder:
    for run in find_runs(out):
        head = run.head
        same = (head.suite.fingerprint, head.generator.fingerprint, head.seed_offset, head.partial)
        if same == (suite.fingerprint, fingerprint, offset, False) and not head.not_whole:
            if head.status != "success":
                return evaluate.resume(run)
            if head.generator.not_covered:
                say(f"{run.path} is used again; its fingerprint does not cover {head.generator.not_covered}", err=True)
            return run
    return evaluate.run(suite, spec, out, seed_offset=offset)
