"""The kinds of metric, each a `torchmetrics.Metric`: per-clip (one score per clip), paired (one score per pair of clips of the
same case in two runs) and set (one value per set)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics import Metric

from sora_eval.features.view import Array, ClipView, Extractor
from sora_eval.records.bucket import Axis
from sora_eval.records.case import Prompt
from sora_eval.stats.distances import ordered
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.util.errors import Undefined


@dataclass(frozen=True)
class Output:
    """One number of a metric. `range` states its possible values; means are clipped to `limits`, scores are not."""

    name: str
    unit: str
    higher_is_better: bool | None  # None: a number to read, with no better end
    range: str
    limits: tuple[float, float] | None = None

    @property
    def span(self) -> float | None:
        """Width of the limits; None without limits."""
        return self.limits[1] - self.limits[0] if self.limits else None

    def cut(self, value: float) -> float:
        """A mean, or an end of its interval, clipped to the limits.

        >>> Output("share", "%", True, "0 to 100", (0.0, 100.0)).cut(104.0)
        100.0
        """
        return min(max(value, self.limits[0]), self.limits[1]) if self.limits else value


@dataclass(frozen=True)
class Score:
    """The value of one output on one clip, or None with the reason. `detail` is for readers: frames, fits, counts."""

    value: float | None
    reason: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


Scorable = ClipView | Mapping[str, float | None]


class _MeanOfScores(Metric):
    """A metric whose value is the mean of its scores. States are float64 sums, so partial states merge and the order of clips
    does not matter."""

    family: ClassVar[str] = "custom"
    invariant_to: ClassVar[frozenset[Axis]] = frozenset()
    pixels: ClassVar[bool] = False
    full_state_update = False
    is_differentiable = False
    outputs: tuple[Output, ...]
    signature: str
    total: torch.Tensor
    count: torch.Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "outputs"):
            cls.higher_is_better = cls.outputs[0].higher_is_better  # torchmetrics wants it on the class

    def __init__(self) -> None:
        super().__init__()
        zeros = torch.zeros(len(self.outputs), dtype=torch.float64)
        self.add_state("total", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("count", zeros.clone(), dist_reduce_fx="sum")

    def add(self, scores: Sequence[Mapping[str, float | None]]) -> None:
        """Add existing scores by output, of several clips, to the sums; None is not counted."""
        for i, output in enumerate(self.outputs):
            values = [value for of_clip in scores if (value := of_clip.get(output.name)) is not None]
            self.total[i] = sum(values, self.total[i].item())  # floats: an operation of torch on each takes 15 times as long
            self.count[i] += len(values)

    def compute(self) -> torch.Tensor:
        """Means (outputs,) of the scores, clipped to the limits; NaN without scores."""
        means = (self.total / self.count).reshape(-1)
        return torch.stack([m.clamp(*o.limits) if o.limits else m for o, m in zip(self.outputs, means, strict=True)])


class ClipMetric(_MeanOfScores):
    """A metric with one score per clip; `compute` is the mean of the scores that exist.

    Subclasses set `outputs` and `signature` and implement `score`.

    A class that `registry.metrics` does not list also declares its `family` in reports, the axes that do not change its
    scores (`invariant_to`), and whether it reads facts in `pixels`, so that it is never scored on a canonical canvas. Its
    options are the parameters of its `__init__`, all with defaults.
    """

    kind: ClassVar[str] = "per-clip"

    def prepare(self, prompts: Iterable[Prompt]) -> None:
        """Receive all prompts of the suite, once, before the first clip."""

    @abstractmethod
    def score(self, view: ClipView) -> Mapping[str, Score]:
        """The score of every output on one clip. Raises `Undefined` when none exists."""

    def update(self, items: Scorable | Sequence[Scorable]) -> None:
        """Add the scores of one clip or of several, or existing scores, to the sums; None is not counted."""
        several = items if isinstance(items, Sequence) else (items,)
        self.add([{n: s.value for n, s in self.score(i).items()} if isinstance(i, ClipView) else i for i in several])


class PairMetric(_MeanOfScores):
    """A metric with one score per pair of clips of one case, in a run BASE and a run NEW; `compute` is the mean of the scores.

    Both clips have the same frames, sides and rate. Subclasses set `outputs`, `signature` and `identical`, the score by output
    of a clip and itself, and implement `score`. A score is symmetric, and `identical` is its best value. `ClipMetric` lists the
    other declarations.
    """

    kind: ClassVar[str] = "paired"
    identical: Mapping[str, float]

    @abstractmethod
    def score(self, base: ClipView, new: ClipView) -> Mapping[str, Score]:
        """The score of every output on one pair. Raises `Undefined` when none exists."""

    def update(self, base: ClipView | Sequence[ClipView], new: ClipView | Sequence[ClipView]) -> None:
        """Add the scores of one pair or of several to the sums."""
        pairs = [([v] if isinstance(v, ClipView) else list(v)) for v in (base, new)]
        for a, b in zip(*pairs, strict=True):
            check_pair(a, b)
            self.add([{name: s.value for name, s in self.score(a, b).items()}])


def check_pair(base: ClipView, new: ClipView) -> None:
    """Raises Undefined for two clips of other frames, sides or rates, of which no frame answers another."""
    sizes = [f"{v.clip.width}x{v.clip.height}x{v.clip.num_frames} at {v.clip.fps:g} fps" for v in (base, new)]
    if sizes[0] != sizes[1]:
        raise Undefined(f"base is {sizes[0]}, new {sizes[1]}: no frame answers another")


class SetMetric(Metric):
    """A metric of a set of clips against a reference set; its features are collected, its value is computed at the end.

    Subclasses set `outputs`, `signature`, `extractor`, `least` and `statistic`, and implement `compute`. `ClipMetric` lists
    the other declarations.
    """

    kind: ClassVar[str] = "set"
    family: ClassVar[str] = "custom"
    invariant_to: ClassVar[frozenset[Axis]] = frozenset()
    pixels: ClassVar[bool] = False
    full_state_update = False
    is_differentiable = False
    outputs: tuple[Output, ...]
    signature: str
    extractor: Extractor
    least: int  # vectors that each set needs
    unseen: frozenset[Axis] = frozenset()  # axes that this configuration cannot see, beyond `invariant_to`
    statistic: SetStatistic  # what `compute` returns, as a record for rows and comparisons
    further_method: str = ""  # of the outputs after the first; `further_protocol` is added to their signature
    further_protocol: str = ""
    generated: list[torch.Tensor]
    real: list[torch.Tensor]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "outputs"):
            cls.higher_is_better = cls.outputs[0].higher_is_better

    def __init__(self) -> None:
        super().__init__()
        self.add_state("generated", [], dist_reduce_fx="cat")
        self.add_state("real", [], dist_reduce_fx="cat")

    def seen(self, view: ClipView) -> ClipView:
        """The frames of a clip that the extractor is given: all of them, unless a protocol cuts them."""
        return view

    def features(self, view: ClipView) -> Array:
        """The vector (D,) of one clip. Raises `Undefined` where the protocol does not cover it."""
        return self.seen(view).features(self.extractor)

    def update(self, items: ClipView | Sequence[ClipView] | npt.ArrayLike, *, real: bool = False) -> None:
        """Add one clip or several, or existing vectors (n, D), to the generated or the real set."""
        views = [items] if isinstance(items, ClipView) else items if isinstance(items, Sequence) else []
        if views and all(isinstance(v, ClipView) for v in views):
            seen = [v.of_reference() if real else v for v in views if isinstance(v, ClipView)]
            values = np.stack([self.features(v) for v in seen])
        else:
            values = np.asarray(items)
        (self.real if real else self.generated).append(torch.as_tensor(values.astype(np.float64)))

    def further(self, output: Output) -> Score:
        """The value of an output after the first, from the current sets, or the reason why there is none."""
        raise ValueError(f"{type(self).__name__} has no output {output.name!r}")

    def sets(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Generated and real vectors, (n, D) and (m, D), each in lexicographic order, so that `compute` gives the same bits in
        whichever order clips, batches and partial states came."""
        return tuple(  # type: ignore[return-value]
            ordered((torch.cat(list(s)) if isinstance(s, list) else s).numpy()) for s in (self.generated, self.real)
        )
