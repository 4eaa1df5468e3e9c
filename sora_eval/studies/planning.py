"""What a gate of so many prompts and seeds will say: chances of its verdicts from variance components. Pure.

The model. Of every row and prompt, the change of the mean over K seeds of the baseline to that over k other seeds of the run is
normal, independent between prompts, with the variance of `Components.of_change`; between rows its correlation is that of the
seed noise. A true change moves one row alone, in its worse direction, and no variance. Bounds and tests are those of the gate
for normal data: Student's t, of per-clip rows with two pseudo-prompts at the largest deviation, Holm's correction over the
rows, and the permutation of labels as a normal test of the seed noise. A set metric is linear in its prompts: the mean of their
jackknife pseudo-values, whose variance does not depend on the number of prompts. Seeds that both sides share are not modelled;
they make a PASS more likely.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.stats.components import Components
from sora_eval.stats.intervals import Array
from sora_eval.stats.power import ALPHA

CHANGES = (1.0, 1.5, 2.0, 3.0)  # true changes, in limits
TWICE = CHANGES[2]
DRAWS = 2000  # a chance of 90 % is then known to +- 0.7 %
CHUNK = 500  # draws at once, which bounds the memory
HEAVY = 10.0  # rows of suite `gate` up to 2 pass as often as the model says, within 6 %; one of 43 passes 18 % less at one seed
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PlannedRow:
    """A row of a gate. `increase` and `decrease` are the largest changes that it allows, in the metric's unit, `inf` without
    a limit; one of them is finite. `is_set`: of a set metric, whose bounds have no pseudo-prompts. `kurtosis` is the excess
    kurtosis of the seed noise, 0 in the model."""

    name: str
    components: Components
    increase: float
    decrease: float
    is_set: bool = False
    kurtosis: float = 0.0

    @property
    def heavy_tailed(self) -> bool:
        """Whether a few clips make the seed noise, so that the model promises more than holds."""
        return self.kurtosis > HEAVY

    @property
    def limit(self) -> float:
        """The limit in the worse direction, of two the tighter; in the metric's unit."""
        return min(self.increase, self.decrease)

    @property
    def ends(self) -> Array:
        """Both limits, (2,): increase, decrease."""
        return np.array([self.increase, self.decrease])

    @property
    def worse(self) -> int:
        """Sign of a change in the worse direction."""
        return 1 if self.increase < self.decrease else -1


@dataclass(frozen=True, order=True)
class Design:
    """Seeds per prompt in the baseline and in the run, and prompts; `places` cases of a prompt and seed (shapes x lengths)."""

    prompts: int
    baseline_seeds: int
    seeds: int
    places: int = 1

    @property
    def clips(self) -> int:
        """Clips that a gate run generates."""
        return self.prompts * self.places * self.seeds

    @property
    def cost(self) -> tuple[int, int, int]:
        """What makes one design cheaper than another: clips of a run, clips of the baseline, prompts."""
        return self.clips, self.prompts * self.places * self.baseline_seeds, self.prompts


@dataclass(frozen=True)
class Chances:
    """Chances (0 to 1) at one design: PASS when nothing changed, by row (`passing`) and whole; REGRESSED, by row and true
    change of that row in limits: of the row itself, and of the whole gate."""

    design: Design
    passing: dict[str, float]
    whole: float
    regressed: dict[tuple[str, float], float]
    whole_regressed: dict[tuple[str, float], float]

    def weakest(self, change: float) -> tuple[float, str]:
        """The least chance that the whole gate is REGRESSED at a change in one row, and that row."""
        return min((chance, name) for (name, size), chance in self.whole_regressed.items() if size == change)


class GateModel:
    """The joint model of the rows of a gate; `correlation` (rows, rows) is that of their seed noise."""

    def __init__(self, rows: Sequence[PlannedRow], correlation: Array, alpha: float = ALPHA, draws: int = DRAWS):
        self.rows, self.correlation, self.alpha, self.draws = tuple(rows), correlation, alpha, draws
        self.limits = np.array([r.ends for r in rows])
        self._sets = np.array([r.is_set for r in rows])
        self._standard: dict[int, tuple[Array, Array, Array]] = {}

    def without(self, name: str) -> GateModel:
        """The model of the gate without one row."""
        rest = [i for i, row in enumerate(self.rows) if row.name != name]
        return GateModel([self.rows[i] for i in rest], self.correlation[np.ix_(rest, rest)], self.alpha, self.draws)

    def chances(self, design: Design, limits: Array | None = None, changes: Sequence[float] = CHANGES) -> Chances:
        """The chances at a design, with the rows' own limits or others (rows, 2: increase, decrease); `changes` stay in
        units of the rows' own."""
        limits = self.limits if limits is None else limits
        drawn, error, reach = self._drawn(design)
        passing = self._inside(drawn + reach, drawn - reach, limits)
        by_row = {row.name: float(share) for row, share in zip(self.rows, passing.mean(0), strict=True)}
        regressed, whole = dict[tuple[str, float], float](), dict[tuple[str, float], float]()
        out = Chances(design, by_row, float(passing.all(1).mean()), regressed, whole)
        if not changes:
            return out
        p, past = self._p(drawn, error, design), ~self._inside(drawn, drawn, limits)
        for i, row in enumerate(self.rows):
            p_unmoved, past_unmoved = p[:, i].copy(), past[:, i].copy()
            for change in changes:
                moved = drawn[:, i] + row.worse * change * row.limit
                p[:, i] = self._p(moved[:, None], error[:, [i]], design, i)[:, 0]
                past[:, i] = ~((moved <= limits[i, 0]) & (-moved <= limits[i, 1]))
                found = past & (_holm(p) <= self.alpha)
                regressed[row.name, change], whole[row.name, change] = float(found[:, i].mean()), float(found.any(1).mean())
            p[:, i], past[:, i] = p_unmoved, past_unmoved
        return out

    def needed_limits(self, design: Design, share: float, name: str | None = None) -> Array:
        """The limits (rows, 2), in the metrics' units, that the whole gate passes in a `share` of draws when nothing changed:
        the rows' own, where they are no tighter than the bounds' quantile at the lowest level that does, else that quantile.
        With `name` the same of one row alone."""
        drawn, _, reach = self._drawn(design)
        chosen = np.array([name in (None, row.name) for row in self.rows])
        bounds, ends = np.stack([drawn + reach, reach - drawn], 2), np.isfinite(self.limits) & chosen[:, None]
        ordered = np.sort(bounds, 0)

        def at(rank: int) -> Array:
            return np.where(ends, np.maximum(self.limits, ordered[rank]), self.limits)

        def passing(rank: int) -> float:
            return float((bounds <= at(rank))[:, chosen].all((1, 2)).mean())

        return at(bisect_left(range(len(bounds)), share, key=passing))

    def _drawn(self, design: Design) -> tuple[Array, Array, Array]:
        """Changes when nothing changed, their standard errors and the distances of their bounds, (draws, rows) each."""
        n, (means, squares, largest) = design.prompts, self._noise(design.prompts)
        scale = self._scales(design)
        t = float(stats.t.ppf(1 - self.alpha, n - 1))
        error = np.sqrt(squares / (n - 1) / n)
        padded = np.sqrt((squares + 2 * largest) / (n * (n + 1)))
        return means * scale, error * scale, t * np.where(self._sets, error, padded) * scale

    def _scales(self, design: Design) -> Array:
        return np.sqrt([r.components.of_change(design.baseline_seeds, design.seeds) for r in self.rows])

    def _noise(self, prompts: int) -> tuple[Array, Array, Array]:
        """Of `prompts` correlated normals: mean, sum of squared deviations and the largest of these, (draws, rows) each."""
        if prompts not in self._standard:
            rng = np.random.default_rng([0, prompts])
            values, vectors = np.linalg.eigh(self.correlation)
            root, parts = vectors * np.sqrt(np.maximum(values, 0.0)), []
            for start in range(0, self.draws, CHUNK):
                z = rng.standard_normal((min(CHUNK, self.draws - start), prompts, len(self.rows))) @ root.T
                squared = np.square(z - z.mean(1, keepdims=True))
                parts.append((z.mean(1), squared.sum(1), squared.max(1)))
            means, squares, largest = (np.concatenate(part) for part in zip(*parts, strict=True))
            self._standard[prompts] = (means, squares, largest)
        return self._standard[prompts]

    def _p(self, drawn: Array, error: Array, design: Design, row: int | None = None) -> Array:
        """Two-sided p of no change: of the pairs of means, and where a side has several seeds, of its labels too."""
        rows, sets = (self.rows, self._sets) if row is None else ((self.rows[row],), self._sets[[row]])
        noise = np.sqrt([r.components.seed / design.baseline_seeds + r.components.seed_new / design.seeds for r in rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            paired = 2 * stats.t.sf(np.nan_to_num(np.abs(drawn) / error, posinf=np.inf), design.prompts - 1)
            labels = 2 * stats.norm.sf(np.nan_to_num(np.abs(drawn) / noise * math.sqrt(design.prompts), posinf=np.inf))
        several = design.baseline_seeds + design.seeds > 2
        per_clip = np.minimum(2 * np.minimum(paired, labels), 1.0) if several else paired
        return np.asarray(np.where(sets, labels, per_clip))

    @staticmethod
    def _inside(high: Array, low: Array, limits: Array) -> Marks:
        return np.asarray((high <= limits[:, 0]) & (-low <= limits[:, 1]))


def _holm(p: Array) -> Array:
    """`stats.power.holm` of every row of (n, m).

    >>> _holm(np.array([[0.01, 0.04, 0.03]])).tolist()
    [[0.03, 0.06, 0.06]]
    """
    order = np.argsort(p, 1, kind="stable")
    scaled = np.take_along_axis(p, order, 1) * np.arange(p.shape[1], 0, -1)
    out = np.empty_like(p)
    np.put_along_axis(out, order, np.minimum(np.maximum.accumulate(scaled, 1), 1.0), 1)
    return out


@dataclass(frozen=True)
class Goal:
    """What a gate shall do: PASS in a share of runs when nothing changed, and REGRESSED in a share of those in which one row,
    whichever, changed by TWICE the limit that it has now."""

    passing: float = 0.9
    found: float = 0.9

    def met(self, chances: Chances) -> bool:
        """Whether the whole gate passes, and finds, as often as it shall."""
        return chances.whole >= self.passing and chances.weakest(TWICE)[0] >= self.found

    def met_by(self, row: str, chances: Chances) -> bool:
        """Whether one row does so: rows that err independently, each at the root of the share, pass together in that share."""
        enough = self.passing ** (1 / len(chances.passing))
        return chances.passing[row] >= enough and chances.whole_regressed[row, TWICE] >= self.found


@dataclass(frozen=True)
class Remedy:
    """How one row reaches its part of the goal, each way alone, None where it does not: more `prompts`, more `seeds` on either
    side, or a wider `limit`, as a multiple of the present one. `without` is the chance of a whole PASS with the row dropped;
    `cheapest` names the way of the fewest clips per run: a wider limit, with which the same change is still found, costs none.
    """

    row: str
    prompts: Design | None
    seeds: Design | None
    limit: float | None
    without: float
    cheapest: str


def cheapest(model: GateModel, designs: Iterable[Design], goal: Goal, widen: bool = False) -> tuple[Design, Array] | None:
    """The cheapest design that meets the goal, and its limits (rows, 2); None if none does.

    With `widen` limits may become as wide as the PASS needs; what shall be found stays twice the present limit.
    """
    for design in sorted(designs, key=lambda d: d.cost):
        limits = model.needed_limits(design, goal.passing) if widen else model.limits
        if model.chances(design, limits, ()).whole >= goal.passing and goal.met(model.chances(design, limits, (TWICE,))):
            return design, limits
    return None


def remedies(model: GateModel, present: Design, designs: Sequence[Design], goal: Goal) -> list[Remedy]:
    """What brings every row to its part of the goal from the `present` design; `designs` are those to choose from."""
    held, asked = present.baseline_seeds, present.seeds
    prompts = [d for d in designs if (d.baseline_seeds, d.seeds) == (held, asked) and d.prompts > present.prompts]
    seeds = [d for d in designs if d.prompts == present.prompts and d.baseline_seeds >= held and d.seeds >= asked]
    more, further = (
        [model.chances(d, changes=(TWICE,)) for d in sorted({present, *some}, key=lambda d: d.cost)]
        for some in (prompts, seeds)
    )
    part = goal.passing ** (1 / len(model.rows))
    out = []
    for i, row in enumerate(model.rows):
        ways = [next((c.design for c in some if goal.met_by(row.name, c)), None) for some in (more, further)]
        wider, limit = model.needed_limits(present, part, row.name), None
        if row.limit > 0 and goal.met_by(row.name, model.chances(present, wider, (TWICE,))):
            limit = max(float(end / own) for end, own in zip(wider[i], row.ends, strict=True) if np.isfinite(own))
        without = model.without(row.name).chances(present, changes=()).whole if len(model.rows) > 1 else 1.0
        out.append(Remedy(row.name, ways[0], ways[1], limit, without, _best(present, ways[0], ways[1], limit)))
    return out


def _best(present: Design, prompts: Design | None, seeds: Design | None, limit: float | None) -> str:
    if prompts == present:
        return "none needed"
    if limit is not None:
        return "wider limit"
    ways = [(design.cost, words) for design, words in ((prompts, "more prompts"), (seeds, "more seeds")) if design is not None]
    return min(ways)[1] if ways else "drop the row"
