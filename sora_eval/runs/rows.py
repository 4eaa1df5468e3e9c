"""The rows of a run folder, one frozen class per table; docs/runs.md is the same in words.

A row is checked when it is made and when it is read: types, known keys, finite ranges. `append` and `replace` of
`runs.folder` write them as JSON lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sora_eval.records.bucket import Axis, Bucket
from sora_eval.stats.set_statistic import SetStatistic

Status = Literal["ok", "undefined", "error"]


class Row(BaseModel):
    """A row of the table that its class names; nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="constants",  # a NaN stays one on disk: readers call it an error, null would hide it
    )
    table: ClassVar[str]


class SampleRow(Row):
    """One case and what became of it."""

    table = "samples"
    id: str
    """`prompt_id/WxHxT/seed`, or `prompt_id/native/seed` of a clip that a folder brings."""
    prompt_id: str
    """The cluster of every test."""
    prompt: str = ""
    """What was asked for."""
    tags: tuple[str, ...] = ()
    """Of the prompt."""
    width: int | None = None
    """px; None of a file that could not be read."""
    height: int | None = None
    """px."""
    frames: int | None = None
    """Length in frames."""
    fps: float | None = None
    """Frames per second."""
    seed: int = 0
    """Of the suite, before it is mixed with the prompt's id."""
    status: Literal["ok", "error"] = "ok"
    """Whether there is a clip."""
    error: str = ""
    """Why there is none."""
    clip: str = ""
    """Its file: relative to the run folder, or absolute where a folder brings it."""
    sha256: str | None = None
    """Of the frames."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Stage to seconds."""
    peak_bytes: int = 0
    """Most memory that the process had held by then."""

    @property
    def shape(self) -> str:
        """`WxHxT`, or '' where it is not known."""
        sizes = (self.width, self.height, self.frames)
        return "" if None in sizes else "x".join(map(str, sizes))

    @property
    def bucket(self) -> Bucket | None:
        """Shape and rate; None where they are not known."""
        if not (self.width and self.height and self.frames and self.fps):
            return None
        return Bucket(self.width, self.height, self.frames, self.fps)


class ScoreRow(Row):
    """One output of a per-clip metric on one case, or why a set metric has no vector of it."""

    table = "scores"
    id: str
    """Of the case."""
    metric: str
    """The metric's output."""
    value: float | None
    """None where there is none."""
    status: Status = "ok"
    """`undefined`: the protocol does not cover the clip; `error`: something failed."""
    reason: str = ""
    """Why there is no value."""
    detail: dict[str, Any] = Field(default_factory=dict)
    """For people: broken frames, fits, counts."""
    signature: str = ""
    """The protocol under which the value was made."""


class OracleRow(ScoreRow):
    """The same for a generator that cannot do better; one without `id` says why the oracle could not be opened."""

    table = "oracles"
    oracle: str
    """The generator's spec."""


class MetricRow(Row):
    """One output over the cases of one slice."""

    table = "metrics"
    metric: str
    """The output: `clip_score`, `physics_laws.support`, `latency.denoise`."""
    slice: str
    """`all`, a shape, or `oracle:GENERATOR`."""
    value: float | None
    """None where there is none."""
    status: Status = "ok"
    """As of a score."""
    reason: str = ""
    """Why there is no value, or what stands behind it."""
    n_expected: int = 0
    """Cases (of speed: repeats) of the slice."""
    n_scored: int = 0
    """Those with a value."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end."""
    method: str = ""
    """Of the interval."""
    unit: str = ""
    """Of value, low and high."""
    higher_is_better: bool | None = None
    """None: a number with no better end."""
    signature: str = ""
    """The protocol; numbers of unlike signatures are not compared."""
    declared: str = ""
    """Key of the suite's [metrics] that this row comes from; '' of speed."""
    family: str = ""
    """Of the metric: distribution, text, temporal, physics, speed, or one of a metric's own."""
    buckets: dict[str, int] = Field(default_factory=dict)
    """Scored clips by bucket."""
    sensitive_to: tuple[Axis, ...] = ()
    """What its scores must not be pooled over silently."""
    pooled: tuple[Axis, ...] = ()
    """What of that they are pooled over."""
    statistic: SetStatistic | None = None
    """Of a set metric: the number that its vectors give."""
    p: float | None = None
    """Permutation p that generated and reference clips have one source."""
    null: float | None = None
    """The reference set against itself."""
    null_n: int = 0
    """Clips in each half of that."""


class TimingRow(Row):
    """One repeat of one stage of one timed point."""

    table = "timings"
    id: str
    """`WxHxT`, `batch4:WxHxT`, `offline:WxHxT`, `mixed:PACKING`."""
    scenario: str = "latency"
    """latency, batch, offline or mixed."""
    batch: int = 1
    """Clips per call."""
    frames: int | None = None
    """Frames of all clips of a call."""
    stage: str
    """first, whole, a stage of the generator, or failed."""
    repeat: int
    """From 0."""
    round: int = 0
    """Of the interleaved rounds."""
    seconds: float | None
    """Wall time; None of a failed point."""
    bytes: int = 0
    """Peak memory of the process in that call."""
    tokens: int | None = None
    """Of the clips of a call, where the generator counts them."""
    flops: int | None = None
    """Of the stage, where the generator counts them."""
    reason: str = ""
    """Why the point failed."""


class AttributionRow(Row):
    """What one clip does to a distance between sets."""

    table = "attribution"
    id: str
    """Of the case."""
    metric: str
    """The distance."""
    value: float
    """How much it falls when the clip leaves."""
    rank: int
    """1 is the most costly clip."""
    signature: str
    """Of the distance."""


M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], data: Mapping[str, Any]) -> M:
    """A record from plain JSON data, as strictly as from a line of a file. Raises pydantic's ValidationError."""
    return model.model_validate_json(json.dumps(data))


TABLES: tuple[type[Row], ...] = (SampleRow, ScoreRow, OracleRow, MetricRow, TimingRow, AttributionRow)
