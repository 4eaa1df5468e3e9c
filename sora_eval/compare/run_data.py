"""One side of a comparison: what a run, or the baseline that it was promoted to, has to say. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.runs.folder import RunFolder

Features = tuple[list[str], npt.NDArray[Any]]  # case ids, vectors (n, D)
REFERENCE = "reference-"


@dataclass(frozen=True)
class Side:
    """The rows of a run in memory. `kind` is `run` or `baseline`; `head` is run.json.

    `scores` has, for each metric and case id, the value or None with the status and reason. `features` are those of set
    metrics; `references` the vectors they were compared with, which a baseline leaves out: equal signatures name equal
    references.
    """

    kind: str
    path: str
    head: dict[str, Any]
    samples: dict[str, dict[str, Any]]
    metrics: dict[tuple[str, str], dict[str, Any]]
    scores: dict[str, dict[str, dict[str, Any]]]
    features: dict[str, Features]
    references: dict[str, Features] = field(default_factory=dict)
    timings: list[dict[str, Any]] = field(default_factory=list)
    profile: str | None = None

    @property
    def label(self) -> str:
        """How a table calls it: generator and checkpoint."""
        generator = self.head["generator"]
        return ":".join(filter(None, [generator["name"], generator["checkpoint"]]))

    @property
    def run_id(self) -> str:
        return str(self.head.get("run", ""))

    def incomplete(self) -> str:
        """Why this is not a whole run, or ''."""
        if self.head.get("partial"):
            return f"the run is partial: --limit {self.head.get('limit')}"
        if self.head.get("status") != "success":
            return f"the run has status {self.head.get('status')!r}; go on with 'sora-eval run --resume'"
        if not self.metrics:
            return "the run has no metrics"
        return ""

    def slices(self) -> list[str]:
        """`all`, then every shape, length and tag that splits the cases."""
        out = ["all"]
        for labels in ([_shape(s) for s in self.samples.values()], [_length(s) for s in self.samples.values()]):
            out += dict.fromkeys(labels) if len(set(labels)) > 1 else []
        tags = dict.fromkeys(t for s in self.samples.values() for t in s.get("tags") or ())
        return out + [t for t in sorted(tags) if any(t not in (s.get("tags") or ()) for s in self.samples.values())]

    def cases(self, label: str) -> set[str]:
        """Ids of the cases of a slice."""
        return {i for i, s in self.samples.items() if label in ("all", _shape(s), _length(s)) or label in (s.get("tags") or ())}


def _shape(sample: dict[str, Any]) -> str:
    return "{width}x{height}x{frames}".format(**sample)


def _length(sample: dict[str, Any]) -> str:
    return f"{sample['frames']} frames"


def restricted(side: Side, prompts: Collection[str]) -> Side:
    """A side as if only these prompts had been asked: their cases, scores and vectors.

    The reference set stays whole, as it does for a run of fewer prompts: both sides keep the distance to the same one. Rows
    of metrics stay for their signature and status; a difference computes its values from scores and vectors anew.
    """
    kept = {i: s for i, s in side.samples.items() if s["prompt_id"] in prompts}
    scores = {metric: {i: r for i, r in rows.items() if i in kept} for metric, rows in side.scores.items()}
    features = {}
    for metric, (ids, values) in side.features.items():
        own = [i for i in ids if i in kept]
        features[metric] = (own, rows_of((ids, values), own))
    return replace(side, samples=kept, scores=scores, features=features)


def side_of(run: RunFolder | Side) -> Side:
    """Read a run folder. A NaN or infinite score becomes an error with its reason. Raises RunError if it is damaged."""
    if isinstance(run, Side):
        return run
    metrics = {(r["metric"], r["slice"]): r for r in run.rows("metrics")}
    features, references = {}, {}
    for name in dict.fromkeys(m for m, _ in metrics):
        if made := run.load_features(name):
            features[name] = (made["ids"].tolist(), made["values"])
        if real := run.load_features(REFERENCE + name):
            references[name] = (real["ids"].tolist(), real["values"])
    return Side(
        "run",
        str(run.path),
        {"run": run.path.name, **run.head},
        {r["id"]: r for r in run.rows("samples")},
        metrics,
        scores_by_metric(run.rows("scores")),
        features,
        references,
        run.rows("timings"),
    )


def scores_by_metric(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows of scores.jsonl by metric and case; what is not a finite number is no value."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        out.setdefault(row["metric"], {})[row["id"]] = finite(row)
    return out


def finite(row: dict[str, Any]) -> dict[str, Any]:
    """The row, with a NaN or infinite value turned into an error."""
    value = row["value"]
    if value is None or math.isfinite(value):
        return row
    return {**row, "value": None, "status": "error", "reason": f"the value is {value}"}


def rows_of(features: Features, ids: list[str]) -> npt.NDArray[Any]:
    """The vectors of the given cases, in their order."""
    place = {name: i for i, name in enumerate(features[0])}
    return np.asarray(features[1])[[place[i] for i in ids]]
