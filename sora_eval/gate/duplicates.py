"""The row of clips that are equal bit by bit although their prompts or seeds are not: a collapse that means can hide. Pure."""

from __future__ import annotations

from collections.abc import Collection

from sora_eval.compare.cases import place_of, seed_of
from sora_eval.compare.run_data import RunData
from sora_eval.records.verdict import GateRow, Verdict

NAME = "duplicates"


def duplicates_row(new: RunData, base: RunData | None) -> GateRow | None:
    """REGRESSED where a larger share of the new run's clips repeats another one than of the baseline's, NO_BASELINE without
    one, else PASS; None where no clip does.

    No test is needed: noise gives no clip the very frames of another. Of equal prompts under one seed, equal clips are right.
    """
    twins = _twins(new, new.samples)
    if not twins:
        return None
    share, example = len(twins) / len(new.samples), min(twins)
    # Of a baseline of more seeds the same seeds alone: the more seeds, the more clips one that is made again repeats.
    seeds = {seed_of(i) for i in new.samples}
    held = [] if base is None else [i for i in base.samples if seed_of(i) in seeds] or [*base.samples]
    before = None if base is None or not held else len(_twins(base, held)) / len(held)
    verdict = Verdict.NO_BASELINE if before is None else Verdict.REGRESSED if share > before else Verdict.PASS
    other = twins[example]
    whose = "another seed" if place_of(example) == place_of(other) else "another prompt or shape"
    was = "" if before is None else f"; {before:.0%} of the baseline's do"
    return GateRow(
        NAME,
        "all",
        verdict,
        f"{len(twins)} of {len(new.samples)} clips are equal, bit by bit, to one of {whose} ({example} and {other}){was}",
        "no more than in the baseline",
        0.0,
        base=before,
        new=share,
        change=None if before is None else share - before,
        n=len(new.samples),
        unit="share",
        higher_is_better=False,
    )


def _twins(data: RunData, cases: Collection[str]) -> dict[str, str]:
    """Cases whose frames an earlier case has too, and that case; not those of one text, shape and seed."""

    def asked(case: str) -> tuple[str, str, str]:
        return data.clusters[case], data.samples[case].shape, seed_of(case)

    first: dict[str, str] = {}
    twins = {}
    for case in sorted(cases):
        if (frames := data.samples[case].sha256) is not None:
            earlier = first.setdefault(frames, case)
            if asked(earlier) != asked(case):
                twins[case] = earlier
    return twins
