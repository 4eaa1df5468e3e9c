"""Repeated looks at a gate: the number of prompts at each look, and the share of the error rate that it may spend. Pure.

A spending function alpha(t) is the error rate that may be spent at the share t of the prompts (Lan and DeMets 1983). Look k is
judged by itself at the level alpha(t_k) - alpha(t_k-1). By Boole's inequality the chance that any look errs is at most the sum,
alpha(1) = alpha, for every test and every dependence between looks. The boundaries of clinical trials gain a little power from
the joint normal distribution of the looks, which permutation p values do not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scipy import stats

from sora_eval.gate.tradeoff import NAME as TRADEOFF
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.stats.power import ALPHA
from sora_eval.util.errors import SuiteError, near

BATCH = 8
# Permutations grow with 1 / level. A look with less than this share of alpha is left out, and the next one spends it.
LEAST_SHARE = 1 / 20


def obrien_fleming(t: float, alpha: float = ALPHA) -> float:
    """2 - 2 Phi(z(1 - alpha/2) / sqrt(t)), t in [0, 1]: little is spent early, so the last look keeps most of alpha.

    >>> round(obrien_fleming(0.5), 4), round(obrien_fleming(1.0), 4)
    (0.0056, 0.05)
    """
    return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / math.sqrt(t))) if t > 0 else 0.0


def pocock(t: float, alpha: float = ALPHA) -> float:
    """alpha ln(1 + (e - 1) t), t in [0, 1]: nearly equal levels at all looks; decides large changes earlier.

    >>> round(pocock(0.25), 4), round(pocock(1.0), 4)
    (0.0179, 0.05)
    """
    return alpha * math.log1p((math.e - 1) * t)


SPENDING: dict[str, Callable[[float, float], float]] = {"obrien-fleming": obrien_fleming, "pocock": pocock}


@dataclass(frozen=True)
class Look:
    """Number of prompts at which the gate is judged, and the level of its tests."""

    prompts: int
    alpha: float


def looks(pool: int, batch: int = BATCH, spending: str = "obrien-fleming", alpha: float = ALPHA) -> list[Look]:
    """The looks at a pool of prompts, batch by batch; their levels add up to `alpha`. The last has the whole pool.

    Raises SuiteError for an unknown spending function.

    >>> [(look.prompts, round(look.alpha, 4)) for look in looks(32, 8)]  # at 8 prompts too little would be spent
    [(16, 0.0056), (24, 0.0181), (32, 0.0264)]
    """
    if spending not in SPENDING:
        raise SuiteError(f"spending function {spending!r} is not known{near(spending, list(SPENDING))}")
    return list(_looks(pool, batch, SPENDING[spending], alpha))


def _looks(pool: int, batch: int, function: Callable[[float, float], float], alpha: float) -> Iterator[Look]:
    spent = 0.0
    for prompts in [*range(batch, pool, batch), pool]:
        level = (function(prompts / pool, alpha) if prompts < pool else alpha) - spent
        if level >= LEAST_SHARE * alpha or prompts == pool:
            spent += level
            yield Look(prompts, level)


def is_decided(result: GateResult) -> bool:
    """Whether the gate needs no more prompts: a row is REGRESSED, or no row is left that more prompts may decide.

    ERROR and MISSING are open, since the first prompts may have no score or no case of a slice; NOT_COMPARABLE, NO_BASELINE
    and speed do not depend on prompts.
    """
    if result.verdict is Verdict.REGRESSED:
        return True
    undecided = (Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.MISSING)
    waiting = (row for row in result.rows if row.verdict in undecided and row.metric != TRADEOFF)
    return not any(not is_speed(row.metric) for row in waiting)
