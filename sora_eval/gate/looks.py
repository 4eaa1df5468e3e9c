"""Looking at a gate more than once: how many prompts at each look, and which share of the error each look may spend. Pure.

A spending function alpha(t) says how much of the error may have been spent when the share t of the prompts is there (Lan and
DeMets 1983). Look k is judged at the level alpha(t_k) - alpha(t_k-1), by itself. The chance that any look errs is then at most
the sum, alpha(1) = alpha, by Boole's inequality: whatever the test, however the looks depend on each other. The boundaries of
clinical trials win a little more from the joint normal distribution of the looks, which permutation p values do not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scipy import stats

from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.stats.power import ALPHA
from sora_eval.util.errors import SuiteError, near

BATCH = 8
# Permutations grow with 1 / level. A look that may spend less than this share of alpha is left out, and the next has it.
LEAST_SHARE = 1 / 20


def obrien_fleming(t: float, alpha: float = ALPHA) -> float:
    """2 - 2 Phi(z(1 - alpha/2) / sqrt(t)): next to nothing early, so that the last look keeps most of alpha."""
    return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / math.sqrt(t))) if t > 0 else 0.0


def pocock(t: float, alpha: float = ALPHA) -> float:
    """alpha ln(1 + (e - 1) t): nearly the same level at every look; ends earlier where the change is large."""
    return alpha * math.log1p((math.e - 1) * t)


SPENDING: dict[str, Callable[[float, float], float]] = {"obrien-fleming": obrien_fleming, "pocock": pocock}


@dataclass(frozen=True)
class Look:
    """After how many prompts the gate is asked, and the level that it is asked at."""

    prompts: int
    alpha: float


def looks(pool: int, batch: int = BATCH, spending: str = "obrien-fleming", alpha: float = ALPHA) -> list[Look]:
    """The looks at a pool of prompts, a batch at a time; their levels add up to `alpha`. The last has the whole pool.

    Raises SuiteError for a spending function that is not known.
    """
    if spending not in SPENDING:
        raise SuiteError(f"spending function {spending!r} is not known{near(spending, list(SPENDING))}")
    return list(_looks(pool, batch, SPENDING[spending], alpha))


def _looks(pool: int, batch: int, function: Callable[[float, float], float], alpha: float) -> Iterator[Look]:
    gone = 0.0
    for prompts in [*range(batch, pool, batch), pool]:
        level = (function(prompts / pool, alpha) if prompts < pool else alpha) - gone
        if level >= LEAST_SHARE * alpha or prompts == pool:
            gone += level
            yield Look(prompts, level)


def is_decided(result: GateResult) -> bool:
    """Whether more prompts change nothing: one row REGRESSED, or none left that more prompts may decide.

    ERROR and MISSING stay open, since a few prompts may have no score or no case of a slice yet; what cannot be compared
    stays so, and speed does not depend on prompts.
    """
    if result.verdict is Verdict.REGRESSED:
        return True
    opened = (Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.MISSING)
    return not any(row.verdict in opened and not is_speed(row.metric) for row in result.rows)
