"""The clips of a selfcheck and their treatment: none, a trivial clip, or a corruption of some strength."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from sora_eval.generators.asking import answers_of, request_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import ClipSource
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.selfcheck.responses import LEAST_PAIRS
from sora_eval.suite import Suite, load_suite
from sora_eval.util.errors import SelfcheckError, Undefined
from sora_eval.video.corruptions import (
    CLEAN,
    CORRUPTIONS,
    SOURCES,
    STRENGTHS,
    TRIVIAL,
    TRIVIAL_PREFIX,
    corrupt,
    generator_of,
    hit,
    trivial,
)

REFERENCE_SEED = 1_000_000


@dataclass(frozen=True)
class Cell:
    """One treatment of every clip: `clean`, `trivial:NAME`, or the name of a corruption with its strength."""

    kind: str
    strength: float = 0.0


def cells_of(corruptions: tuple[str, ...]) -> list[Cell]:
    """The treatments: clean, then the trivial clips, then every corruption at every strength.

    >>> len(cells_of(("blur",)))  # 1 clean, 6 trivial, 5 strengths
    12
    """
    graded = [Cell(name, s) for name in corruptions for s in STRENGTHS]
    return [Cell(CLEAN), *(Cell(f"{TRIVIAL_PREFIX}{name}", 1.0) for name in TRIVIAL), *graded]


class Material(ABC):
    """Cases in order, their clean clips, and each of these under any treatment. Raises SelfcheckError for fewer than three."""

    exact = False  # the truth behind the clips is known

    def __init__(self, cases: list[Case], prompts: list[Prompt], spec: str, seed: int) -> None:
        if len(cases) < LEAST_PAIRS:
            raise SelfcheckError(
                f"--clips {spec}: found {len(cases)} clips, expected at least {LEAST_PAIRS}: effects are in standard "
                "deviations of paired differences; add clips or raise --n"
            )
        self.cases, self.prompts, self._seed = cases, prompts, seed
        self._orders = {name: generator_of(name, "order", seed).permutation(len(cases)) for name in CORRUPTIONS}
        self._repeated: dict[int, Clip] = {}

    @abstractmethod
    def clip(self, i: int) -> Clip:
        """The clean clip of a case. Raises SoraEvalError."""

    def reference(self, i: int) -> Clip:
        """A clip of the reference set: by default the clean one."""
        return self.clip(i)

    def damaged(self, i: int, cell: Cell) -> Clip:
        """The clip of case i under a scene corruption. Raises Undefined where the truth is unknown."""
        raise Undefined("the truth behind these clips is not known, so they cannot be rendered with another one")

    def treat(self, i: int, clip: Clip, cell: Cell) -> tuple[Clip, Case]:
        """The clean `clip` of case i, and its case, after one treatment. Raises Undefined where it does not apply."""
        case, name, strength = self.cases[i], cell.kind, cell.strength
        if name.startswith(TRIVIAL_PREFIX):
            return trivial(clip, name.removeprefix(TRIVIAL_PREFIX), case.id, self._seed), case
        if name == CLEAN or (CORRUPTIONS[name].shared and not hit(self._orders[name], strength)[i]):
            return clip, case
        if name == "caption_swap":
            return clip, replace(case, prompt=self._other_prompt(i))
        if name == "mode_collapse":
            return self._one_of_few(i), case
        if CORRUPTIONS[name].kind == "scene":
            return self.damaged(i, cell), case
        return corrupt(clip, name, 1.0 if CORRUPTIONS[name].shared else strength, case.id, self._seed), case

    def _other_prompt(self, i: int) -> Prompt:
        """The next prompt in the order of hits with another text."""
        order = self._orders["caption_swap"]
        ring = np.roll(order, -int(np.flatnonzero(order == i)[0]))[1:]
        for j in ring:
            other = self.cases[int(j)].prompt
            if other.text != self.cases[i].prompt.text:
                return other
        raise Undefined("all clips have the same prompt")

    def _one_of_few(self, i: int) -> Clip:
        """One of the clips that are hit last, which a collapsed set repeats."""
        few = [int(j) for j in self._orders["mode_collapse"][-SOURCES:]]
        source = i if i in few else few[i % len(few)]
        if source not in self._repeated:
            self._repeated[source] = self.clip(source)
        return self._repeated[source]


class FolderMaterial(Material):
    """Existing clips of a folder, with prompts where a manifest has them."""

    def __init__(self, spec: str, count: int, seed: int) -> None:
        generator = open_generator(spec)
        if not isinstance(generator, ClipSource):
            raise SelfcheckError(f"--clips {spec}: expected the name of a suite of world prompts, or folder:PATH")
        self._generator = generator
        cases = generator.cases()[:count]
        super().__init__(cases, [c.prompt for c in cases], spec, seed)

    def clip(self, i: int) -> Clip:
        return self._generator.read(self.cases[i])


class WorldMaterial(Material):
    """The world's clips for a suite, each prompt in its first shape: in turn scenes with a fall, other scenes with gravity, and
    scenes without, so that few clips suffice for every corruption."""

    exact = True

    def __init__(self, suite: Suite, count: int, seed: int) -> None:
        generator = open_generator("world")
        self._generator, self._suite = generator, suite
        first = {c.prompt.id: c for c in reversed(suite.cases)}
        cases = _in_turn([first[p.id] for p in suite.prompt_list if p.id in first])[:count]
        if len(cases) < count:
            raise SelfcheckError(f"--clips {suite.suite.id}: the suite has {len(cases)} prompts, fewer than --n {count}")
        super().__init__(cases, suite.prompt_list, suite.suite.id, seed)

    def clip(self, i: int) -> Clip:
        return self._render(i, 0)

    def reference(self, i: int) -> Clip:
        """The same case under another seed, so that the true distance of the clean set is 0."""
        return self._render(i, REFERENCE_SEED)

    def _render(self, i: int, offset: int) -> Clip:
        answer = answers_of(self._generator, self._suite, [self.cases[i]], offset)[0]
        if isinstance(answer, str):
            raise SelfcheckError(f"--clips {self._suite.suite.id}: {answer}; choose a suite of world prompts, or folder:PATH")
        return answer

    def damaged(self, i: int, cell: Cell) -> Clip:
        rng = generator_of(cell.kind, self.cases[i].id, self._seed)
        return self._generator.damaged(request_of(self.cases[i], self._suite), cell.kind, cell.strength, rng)


def _in_turn(cases: list[Case]) -> list[Case]:
    """Round robin over the kinds of scene; the order within a kind stays."""
    kinds: dict[tuple[bool, bool], list[Case]] = {(True, True): [], (True, False): [], (False, False): []}
    for case in cases:
        facts = case.prompt.facts or {}
        falls = any(o.get("motion") in ("falls", "bounces") for o in facts.get("objects", ()))
        kinds[falls or bool(facts.get("gravity")), falls].append(case)
    rounds = zip_longest(*kinds.values())
    return [case for one in rounds for case in one if case is not None]


def open_material(spec: str, count: int, seed: int = 0) -> Material:
    """The clips of `folder:PATH`, or of the name or file of a suite of world prompts. Raises SoraEvalError."""
    return FolderMaterial(spec, count, seed) if spec.startswith("folder:") else WorldMaterial(load_suite(spec), count, seed)
