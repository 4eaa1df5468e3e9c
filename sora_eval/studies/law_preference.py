"""Does a denoiser find a lawful clip likelier than its unlawful twin? Nothing is generated and nothing is tracked.

The loss of a denoiser bounds the likelihood of a clip (LikePhys, Yuan et al. 2025). Twins are of one scene and differ by a
broken law; both get the same noise. An error is a pair whose unlawful clip has the smaller loss; a coin makes 50 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

from sora_eval.generators.asking import answers_of, losses_of, request_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import Generator
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.stats.intervals import mcnemar_p
from sora_eval.suite import Suite
from sora_eval.util.errors import RefusedError, Undefined
from sora_eval.util.progress import track
from sora_eval.video.corruptions import generator_of

TIMES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)  # shares of noise
CONFIDENCE = 0.95
QUARTER = 0.25
LEAST_GONE = 1 / 16  # of a clip: less is no frame of 9 or 17
SEED = 7


@dataclass(frozen=True)
class Law:
    """A law and the clips of one pair: corruptions of a scene with their strengths, whose losses add up.

    `lawful` and `unlawful` show as much of every object. A pair without prompt is one whose clips do not all hold what it says.
    """

    name: str
    lawful: tuple[tuple[str, float], ...]
    unlawful: tuple[tuple[str, float], ...]
    prompted: bool = True


AS_IT_IS = ("teleport", 0.0)


def laws(strength: float = 1.0) -> tuple[Law, ...]:
    """The laws, broken by this share of how far they are broken by default, in (0, 1]; the least are one jump, and one frame of
    17 without an object.

    >>> [corruption for corruption in laws(0.5)[2].unlawful]
    [('gravity_changed', 0.125)]
    """
    part, gone = QUARTER * strength, max(QUARTER * strength, LEAST_GONE)
    return (
        # Present and absent all along, against a last quarter without the object and a last quarter alone with it: an emptier
        # clip is no easier.
        Law(
            "permanence",
            (AS_IT_IS, ("object_vanish", 1.0)),
            (("object_vanish", gone), ("object_appear", 1 - gone)),
            prompted=False,
        ),
        Law("continuity", (AS_IT_IS,), (("teleport", 0.2),)),  # one jump
        Law("free fall", (AS_IT_IS,), (("gravity_changed", part),)),
        Law("support", (AS_IT_IS,), (("pass_through_floor", 0.2 * strength),)),  # sinks by 0.4 px a frame
        Law("energy", (AS_IT_IS,), (("energy_gained", part),)),
    )


LAWS = laws()


@dataclass(frozen=True)
class Preference:
    """The pairs of one generator and law: by case, the unlawful side's loss less the lawful one's, in mean losses."""

    spec: str
    law: str
    margins: dict[str, float] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Pairs whose unlawful side is not the worse one."""
        return sum(margin <= 0 for margin in self.margins.values())

    @property
    def rate(self) -> float:
        """Share of errors; NaN without pairs."""
        return self.errors / len(self.margins) if self.margins else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share."""
        if not self.margins:
            return 0.0, 1.0
        low, high = stats.binomtest(self.errors, len(self.margins)).proportion_ci(CONFIDENCE)
        return float(low), float(high)


def p_equal(a: Preference, b: Preference) -> float:
    """The exact two-sided p (McNemar) of equal error rates on the pairs that both were asked for."""
    shared = sorted(a.margins.keys() & b.margins.keys())
    return mcnemar_p([a.margins[i] > 0 for i in shared], [b.margins[i] > 0 for i in shared])


def law_preference(suite: Suite, specs: Sequence[str], limit: int | None = None, strength: float = 1.0) -> list[Preference]:
    """A preference per generator and law, on the scenes of a suite's prompts with facts, each in its first shape and length;
    `strength` as in `laws`.

    Raises RefusedError for a suite without facts and for a generator without a denoiser.
    """
    first = {c.prompt.id: c for c in reversed(suite.cases) if c.prompt.facts}
    cases = [first[p.id] for p in suite.prompt_list if p.id in first][:limit]
    if not cases:
        raise RefusedError(f"{suite.path} has no prompts with facts: unlawful twins are rendered by the world; try 'world'")
    generators = {spec: open_generator(spec) for spec in specs}
    margins: dict[tuple[str, str], dict[str, float]] = {(s, law.name): {} for s in specs for law in LAWS}
    world = open_generator("world")
    for law in laws(strength):
        for case in track(cases, law.name):
            try:
                twins = [_clips(world, suite, case, side, law.name) for side in (law.lawful, law.unlawful)]
            except Undefined:
                continue
            for spec, generator in generators.items():
                margins[spec, law.name][case.id] = _margin(generator, spec, case.prompt.text if law.prompted else "", twins)
    return [Preference(spec, law.name, margins[spec, law.name]) for spec in specs for law in LAWS]


def all_laws(preferences: Sequence[Preference]) -> list[Preference]:
    """One preference per generator over the pairs of all laws."""
    pooled: dict[str, dict[str, float]] = {}
    for p in preferences:
        pooled.setdefault(p.spec, {}).update({f"{p.law}/{case}": margin for case, margin in p.margins.items()})
    return [Preference(spec, "all", margins) for spec, margins in pooled.items()]


def _clips(world: Generator, suite: Suite, case: Case, side: tuple[tuple[str, float], ...], law: str) -> list[Clip]:
    """The clips of one side; every corruption of a pair hits the same object. Raises Undefined where one does not apply."""
    out = []
    for name, strength in side:
        if strength == 0:
            (answer,) = answers_of(world, suite, [case])
            if isinstance(answer, str):
                raise Undefined(answer)
            out.append(answer)
        else:
            out.append(world.damaged(request_of(case, suite), name, strength, generator_of(law, case.id, SEED)))
    return out


def _margin(generator: Generator, spec: str, prompt: str, twins: Sequence[Sequence[Clip]]) -> float:
    clips = [clip for side in twins for clip in side]
    try:
        losses = losses_of(generator, clips, [prompt] * len(clips), TIMES, SEED)
    except Undefined as error:
        raise RefusedError(f"{spec}: {error}; ask a generator that has one, such as 'reference'") from error
    means = _relative(losses).mean(1)
    lawful, unlawful = means[: len(twins[0])].sum(), means[len(twins[0]) :].sum()
    return float(unlawful - lawful)


def _relative(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Losses by the mean of their time, so that every time weighs the same."""
    relative: npt.NDArray[np.float64] = losses / losses.mean(0)
    return relative
