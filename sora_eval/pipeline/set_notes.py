"""What two sets themselves say against their distance: notes on the value, in the row's reason."""

from __future__ import annotations

from collections.abc import Sequence

from sora_eval.stats.set_statistic import SetStatistic


def set_notes(generated: Sequence[str], real: Sequence[str], statistic: SetStatistic, width: int) -> list[str]:
    """Notes on a statistic of clips, given by the hashes of their frames, whose vectors have `width` dimensions.

    They are of clips in both sets, and of too few clips for a covariance.

    >>> set_notes(["a", "b"], ["b", "c", "d"], SetStatistic(kind="mmd-cubic"), 400)
    ['1 of 2 generated clips are in the reference set']
    >>> set_notes(["a"], ["b", "c", "d"], SetStatistic(kind="frechet"), 2)
    ['1 generated clips for 2 dimensions: a singular covariance, so the value falls with n; compare equal n, or use kvd']
    """
    notes, others = list[str](), set(real)
    if others and set(generated) == others:
        notes.append("the generated clips are the reference set")
    elif shared := sum(clip in others for clip in generated):
        notes.append(f"{shared} of {len(generated)} generated clips are in the reference set")
    sides = {"generated": len(generated), "reference": len(real)}
    few = " and ".join(f"{n} {name}" for name, n in sides.items() if n <= width)
    if few and statistic.kind == "frechet":
        notes.append(
            f"{few} clips for {width} dimensions: a singular covariance, so the value falls with n; compare equal n, or use kvd"
        )
    return notes
