"""Which cases both runs scored, and what became of the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from sora_eval.compare.run_data import RunData


@dataclass(frozen=True)
class Lost:
    """Cases that one side scored and the other did not, by what became of them."""

    missing: tuple[str, ...] = ()  # BASE has the case, NEW does not
    extra: tuple[str, ...] = ()  # NEW has the case, BASE does not
    failed: tuple[str, ...] = ()  # scored in BASE, an error in NEW
    mended: tuple[str, ...] = ()  # an error in BASE, scored in NEW
    vanished: tuple[str, ...] = ()  # scored in BASE, undefined in NEW
    appeared: tuple[str, ...] = ()  # undefined in BASE, scored in NEW

    def words(self) -> str:
        """What a table says of them, with one example each."""
        texts = {
            "missing": "cases are only in base",
            "extra": "cases are only in new",
            "failed": "cases failed in new",
            "mended": "cases failed in base",
            "vanished": "cases have a score in base only",
            "appeared": "cases have a score in new only",
        }
        found = [(getattr(self, name), text) for name, text in texts.items()]
        return "; ".join(f"{len(ids)} {text} ({ids[0]})" for ids, text in found if ids)

    @property
    def p(self) -> float:
        """One-sided exact p that NEW loses scores no more often than it gains them."""
        lost, total = len(self.vanished), len(self.vanished) + len(self.appeared)
        return float(stats.binomtest(lost, total, alternative="greater").pvalue) if total else 1.0


def account(base: RunData, new: RunData, metric: str, label: str, scored: Sequence[set[str]]) -> tuple[list[str], Lost]:
    """Case ids that both sides scored, sorted, and what became of the others. `scored` are the ids of each side."""
    cases = base.cases(label) | new.cases(label)
    a, b = scored[0] & cases, scored[1] & cases
    known = [set(data.samples) for data in (base, new)]

    def undefined(data: RunData, case: str) -> bool:
        row = data.scores.get(metric, {}).get(case)
        return row is not None and row.status == "undefined"

    gone, come = sorted((a - b) & known[1]), sorted((b - a) & known[0])
    return sorted(a & b), Lost(
        tuple(sorted(cases & (known[0] - known[1]))),
        tuple(sorted(cases & (known[1] - known[0]))),
        tuple(i for i in gone if not undefined(new, i)),
        tuple(i for i in come if not undefined(base, i)),
        tuple(i for i in gone if undefined(new, i)),
        tuple(i for i in come if undefined(base, i)),
    )
