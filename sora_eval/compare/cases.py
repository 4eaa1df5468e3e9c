"""Which cases both runs scored, and why others have no pair. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from sora_eval.compare.run_data import RunData


@dataclass(frozen=True)
class Unpaired:
    """Ids of the cases that only one side scored, by the reason."""

    missing: tuple[str, ...] = ()  # BASE has the case, NEW does not
    extra: tuple[str, ...] = ()  # NEW has the case, BASE does not
    failed: tuple[str, ...] = ()  # scored in BASE, an error in NEW
    recovered: tuple[str, ...] = ()  # an error in BASE, scored in NEW
    vanished: tuple[str, ...] = ()  # scored in BASE, undefined in NEW
    appeared: tuple[str, ...] = ()  # undefined in BASE, scored in NEW

    def words(self) -> str:
        """The counts for a table, with one example each; empty if every case has a pair.

        >>> Unpaired(failed=("a/40x24x17/0", "b/40x24x17/0")).words()
        '2 cases failed in new (a/40x24x17/0)'
        """
        texts = {
            "missing": "cases are only in base",
            "extra": "cases are only in new",
            "failed": "cases failed in new",
            "recovered": "cases failed in base",
            "vanished": "cases have a score in base only",
            "appeared": "cases have a score in new only",
        }
        groups = [(getattr(self, name), text) for name, text in texts.items()]
        return "; ".join(f"{len(ids)} {text} ({ids[0]})" for ids, text in groups if ids)

    @property
    def p(self) -> float:
        """One-sided exact p that NEW loses scores no more often than it gains them; 1 where neither happens.

        >>> Unpaired(vanished=("a", "b", "c")).p  # 3 losses, no gain: 1 / 2^3
        0.125
        """
        return _sign_p(len(self.vanished), len(self.appeared))

    @property
    def p_mended(self) -> float:
        """One-sided exact p that cases fail in BASE no more often than in NEW; 1 where none fails in BASE.

        >>> Unpaired(recovered=("a", "b", "c", "d", "e")).p_mended  # 1 / 2^5
        0.03125
        """
        return _sign_p(len(self.recovered), len(self.failed))


def _sign_p(more: int, fewer: int) -> float:
    return float(stats.binomtest(more, more + fewer, alternative="greater").pvalue) if more + fewer else 1.0


def account(base: RunData, new: RunData, metric: str, label: str, scored: Sequence[set[str]]) -> tuple[list[str], Unpaired]:
    """Sorted ids of the cases of a slice that both sides scored, and the others. `scored` are the ids of either side."""
    cases = base.cases(label) | new.cases(label)
    a, b = scored[0] & cases, scored[1] & cases
    known = [set(data.samples) for data in (base, new)]

    def undefined(data: RunData, case: str) -> bool:
        row = data.scores.get(metric, {}).get(case)
        return row is not None and row.status == "undefined"

    base_only, new_only = sorted((a - b) & known[1]), sorted((b - a) & known[0])
    return sorted(a & b), Unpaired(
        tuple(sorted(cases & (known[0] - known[1]))),
        tuple(sorted(cases & (known[1] - known[0]))),
        tuple(i for i in base_only if not undefined(new, i)),
        tuple(i for i in new_only if not undefined(base, i)),
        tuple(i for i in base_only if undefined(new, i)),
        tuple(i for i in new_only if undefined(base, i)),
    )
