"""In-memory data of one run or baseline, as the comparison reads it. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from sora_eval.compare.pair_scores import Fidelity
from sora_eval.records.clusters import clusters_of
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow, TimingRow
from sora_eval.runs.slices import Slice, slices_of
from sora_eval.runs.vectors import REFERENCE
from sora_eval.suite import Gate
from sora_eval.util.collection import uncollected
from sora_eval.util.visible import encodable

Features = tuple[list[str], npt.NDArray[Any]]  # case ids, vectors (n, D)
Scores = Mapping[str, Mapping[str, ScoreRow]]  # by metric, then by case
R = TypeVar("R", SampleRow, ScoreRow)


@dataclass(frozen=True)
class RunData:
    """The rows of a run in memory.

    The seed in a case's id is the one that its clip started from, so runs under shifted seeds have other cases.

    `samples` are by case id, `metrics` by (metric, slice), `scores` by metric and case id. `features` are the vectors of set
    metrics; `references` those of their reference sets, which a baseline leaves out: equal signatures name equal references.
    `gates` are those that a baseline was promoted with. `fidelity` holds how far its clips lie from those of one other run.
    """

    kind: Literal["run", "baseline"]
    path: str
    head: RunHead
    samples: Mapping[str, SampleRow]
    metrics: Mapping[tuple[str, str], MetricRow]
    scores: Scores
    features: Mapping[str, Features]
    references: Mapping[str, Features] = field(default_factory=dict)
    timings: tuple[TimingRow, ...] = ()
    profile: str | None = None
    merged_runs: tuple[str, ...] = ()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    fidelity: Fidelity | None = None

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs that it holds: of a baseline of several seeds, several."""
        return self.merged_runs or (self.head.run,)

    @property
    def label(self) -> str:
        """Name in tables: generator and checkpoint."""
        return self.head.generator.label

    @property
    def run_id(self) -> str:
        return self.head.run

    def incomplete(self) -> str:
        """Why this is not a whole run, or ''."""
        if self.head.partial:
            return f"the run is partial: {self.head.part}"
        if why := self.head.unfinished(self.path):
            return why
        if not self.metrics:
            return "the run has no metrics"
        return ""

    @cached_property
    def slices(self) -> list[Slice]:
        """`all`, then every shape, length and tag that divides the cases."""
        return slices_of(self.samples.values())

    @cached_property
    def clusters(self) -> dict[str, str]:
        """The cluster of each case by its id, the unit of every test."""
        return clusters_of((s.id, s.prompt_id, s.prompt) for s in self.samples.values())

    @cached_property
    def texts(self) -> dict[str, frozenset[str]]:
        """The texts of each prompt by its id, without those that are not known."""
        texts: dict[str, set[str]] = {}
        for row in self.samples.values():
            if row.prompt.strip():
                texts.setdefault(row.prompt_id, set()).add(row.prompt)
        return {prompt: frozenset(known) for prompt, known in texts.items()}

    def cases(self, label: str) -> set[str]:
        """Ids of the cases of a slice; empty for a slice without cases."""
        if label == "all":
            return set(self.samples)
        return {i for part in self.slices if part.label == label for i in part.ids} or {
            i for i, s in self.samples.items() if label in (s.shape, f"{s.frames} frames") or label in s.tags
        }


def numbered(labels: Sequence[str]) -> list[str]:
    """The labels, with a number after each that occurs more than once.

    >>> numbered(["early", "base", "base"])
    ['early', 'base #1', 'base #2']
    """
    return [f"{n} #{labels[: i + 1].count(n)}" if labels.count(n) > 1 else n for i, n in enumerate(labels)]


def restricted(data: RunData, prompts: Collection[str]) -> RunData:
    """The data of these prompts (ids) only: their cases, scores and vectors.

    The reference set stays whole, as it does for a run of fewer prompts: both runs are compared with the same one. Rows of
    metrics stay for their signature and status; a difference recomputes its values from scores and vectors.
    """
    return part_of(data, {i for i, s in data.samples.items() if s.prompt_id in prompts})


def part_of(data: RunData, cases: Collection[str]) -> RunData:
    """The data of these cases (ids) only; rows of metrics and the reference set stay."""
    samples = {i: s for i, s in data.samples.items() if i in cases}
    scores = {metric: {i: r for i, r in rows.items() if i in samples} for metric, rows in data.scores.items()}
    features = {}
    for metric, (ids, values) in data.features.items():
        remaining = [i for i in ids if i in samples]
        features[metric] = (remaining, rows_of((ids, values), remaining))
    return replace(data, samples=samples, scores=scores, features=features)


@uncollected()
def data_of(run: RunFolder | RunData) -> RunData:
    """Read a run folder; RunData is returned as it is. A NaN or infinite score becomes an error with its reason.

    Raises RunError if the folder is damaged.
    """
    if isinstance(run, RunData):
        return run
    metrics = {(r.metric, r.slice): r for r in run.rows(MetricRow)}
    offset = run.head.seed_offset
    features, references = {}, {}
    for name in dict.fromkeys(m for m, _ in metrics):
        if generated := run.load_features(name):
            features[name] = ([started_from(i, offset) for i in generated["ids"].tolist()], generated["values"])
        if real := run.load_features(REFERENCE + name):
            references[name] = (real["ids"].tolist(), real["values"])
    return RunData(
        "run",
        encodable(str(run.path)),
        run.head.model_copy(update={"run": run.name}),
        {r.id: r for r in shifted(run.rows(SampleRow), offset)},
        metrics,
        scores_by_metric(shifted(run.rows(ScoreRow), offset)),
        features,
        references,
        tuple(run.rows(TimingRow)),
    )


def started_from(case: str, offset: int) -> str:
    """The id of a case with the seed that its clip started from.

    >>> started_from("p1/32x32x17/1", 100)
    'p1/32x32x17/101'
    """
    place, _, seed = case.rpartition("/")
    return f"{place}/{int(seed) + offset}" if offset and seed.isascii() and seed.isdigit() else case


def shifted(rows: Iterable[R], offset: int) -> Iterable[R]:
    """The rows under the ids of `started_from`."""
    return (row.model_copy(update={"id": started_from(row.id, offset)}) for row in rows) if offset else rows


def scores_by_metric(rows: Iterable[ScoreRow]) -> dict[str, dict[str, ScoreRow]]:
    """Rows of scores.jsonl by metric and case id, each passed through `finite`."""
    out: dict[str, dict[str, ScoreRow]] = {}
    for row in rows:
        out.setdefault(row.metric, {})[row.id] = finite(row)
    return out


def finite(row: ScoreRow) -> ScoreRow:
    """The row, with a NaN or infinite value replaced by None and status error."""
    if row.value is None or math.isfinite(row.value):
        return row
    return row.model_copy(update={"value": None, "status": "error", "reason": f"the value is {row.value}"})


def rows_of(features: Features, ids: Iterable[str]) -> npt.NDArray[Any]:
    """The vectors of the given cases, in the order of `ids`: (len(ids), D). Raises KeyError for a case without one.

    >>> rows_of((["a", "b"], np.array([[1.0], [2.0]])), ["b", "a"]).tolist()
    [[2.0], [1.0]]
    """
    index = {name: i for i, name in enumerate(features[0])}
    return np.asarray(features[1])[[index[i] for i in ids]]
