"""The rows of a run folder, one frozen class per table; docs/runs.md describes the same tables.

A row is checked when it is made and when it is read: types and known keys. `append` and `replace` of `RunFolder` write rows
as JSON lines.
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
    """A row of `table`: strict types, no unknown keys, immutable. Raises pydantic's ValidationError."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="constants",  # NaN is written as NaN: readers report it as an error, null would hide it
    )
    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]] = ()  # fields that no two rows of a table share


class SampleRow(Row):
    """One case: the requested clip, and the clip or the reason why there is none."""

    table = "samples"
    key = ("id",)
    id: str
    """`prompt_id/WxHxT/seed`, or `prompt_id/native/seed` of a clip from a folder."""
    prompt_id: str
    """Id of the prompt; cases of one id, or of equal prompt text, are one cluster in every test."""
    prompt: str = ""
    """Text of the prompt."""
    tags: tuple[str, ...] = ()
    """Tags of the prompt."""
    width: int | None = None
    """px; None for a file that cannot be read."""
    height: int | None = None
    """px."""
    frames: int | None = None
    """Length in frames."""
    fps: float | None = None
    """Frames per second."""
    seed: int = 0
    """Seed in the suite, before it is mixed with the prompt's id."""
    request_seed: int | None = None
    """Seed that the generator got; None for a clip that existed."""
    status: Literal["ok", "error"] = "ok"
    """`ok` if there is a clip."""
    error: str = ""
    """Reason why there is no clip."""
    clip: str = ""
    """File of the clip: relative to the run folder, or absolute if it comes from a folder."""
    sha256: str | None = None
    """Hash of the frames."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall time by stage."""
    peak_bytes: int = 0
    """Peak memory of the process up to this case."""
    notes: tuple[str, ...] = ()
    """What was assumed where the clip's file left something open."""

    @property
    def shape(self) -> str:
        """`WxHxT`, or '' if a side or the length is not known."""
        sizes = (self.width, self.height, self.frames)
        return "" if None in sizes else "x".join(map(str, sizes))

    @property
    def bucket(self) -> Bucket | None:
        """Shape and rate; None if one of them is not known."""
        if not (self.width and self.height and self.frames and self.fps):
            return None
        return Bucket(self.width, self.height, self.frames, self.fps)


class SourceRow(Row):
    """A clip that existed when the run began, as its generator brought it."""

    table = "sources"
    key = ("id",)
    id: str
    """Id of the case."""
    path: str
    """Absolute path of the file."""
    prompt: str = ""
    """Text of the prompt."""
    sha256: str
    """Hash of the file's bytes; '' for a file that could not be read."""


class ScoreRow(Row):
    """One output of a per-clip metric on one case, or the reason why a set metric has no vector of the case."""

    table = "scores"
    key: ClassVar[tuple[str, ...]] = ("id", "metric")
    id: str
    """Id of the case."""
    metric: str
    """Name of the metric's output."""
    value: float | None
    """None unless the status is `ok`."""
    status: Status = "ok"
    """`undefined`: the protocol does not cover the clip; `error`: generation or scoring failed."""
    reason: str = ""
    """Reason why there is no value."""
    detail: dict[str, Any] = Field(default_factory=dict)
    """Diagnostics for readers: broken frames, fits, counts."""
    signature: str = ""
    """Protocol of the value."""


class OracleRow(ScoreRow):
    """A score of an oracle, a generator with the best possible answer; without `id`, why it could not be opened."""

    table = "oracles"
    key = ("oracle", "id", "metric")
    oracle: str
    """Spec of the generator."""


class MetricRow(Row):
    """One output over the cases of one slice."""

    table = "metrics"
    key = ("metric", "slice")
    metric: str
    """Name of the output: `clip_score`, `physics_laws.support`, `latency.denoise`."""
    slice: str
    """`all`, a shape, or `oracle:GENERATOR`."""
    value: float | None
    """Mean or statistic in `unit`; None unless the status is `ok`."""
    status: Status = "ok"
    """As in ScoreRow."""
    reason: str = ""
    """Why there is no value, or notes on the value."""
    n_expected: int = 0
    """Number of cases (of speed: repeats) of the slice."""
    n_scored: int = 0
    """Number of them with a value."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    method: str = ""
    """Method of the interval."""
    unit: str = ""
    """Unit of value, low and high."""
    span: float | None = None
    """Width of the range of possible values, in `unit`; None: unbounded, or not known."""
    higher_is_better: bool | None = None
    """None: neither direction is better."""
    signature: str = ""
    """Protocol; numbers of different signatures are not compared."""
    declared: str = ""
    """Key of the suite's [metrics] that this row comes from; '' for speed."""
    family: str = ""
    """Family of the metric: distribution, text, temporal, physics, picture, speed, or a user's own."""
    buckets: dict[str, int] = Field(default_factory=dict)
    """Number of scored clips by bucket."""
    sensitive_to: tuple[Axis, ...] = ()
    """Axes over which the scores must not be pooled without a note."""
    pooled: tuple[Axis, ...] = ()
    """Those of them over which the scores are pooled."""
    unlike_reference: str = ""
    """Of a set metric: how its clips differ from those of the reference set on these axes; '' if they do not."""
    statistic: SetStatistic | None = None
    """Of a set metric: the statistic of its vectors."""
    p: float | None = None
    """Permutation p that generated and reference clips have one source."""
    null: float | None = None
    """The statistic between random halves of the reference set."""
    null_n: int = 0
    """Number of clips in each half."""


class Served(BaseModel):
    """A request of an open loop, which was sent whether those before it were answered or not."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    rate: float
    """Requests per second that were offered."""
    arrival: float
    """Scheduled time of its arrival, in seconds from the start of the count; below 0 in the warm-up."""
    queue: float | None = None
    """Seconds from its arrival to the beginning of its answer; None where that is not known."""
    on_time: bool | None = None
    """Whether it was answered within the latency objective; None without one."""
    good: bool | None = None
    """Whether it was on time and its clip holds the limits of quality, where there are any; None without an objective."""
    scores: dict[str, float | None] = Field(default_factory=dict)
    """Scores of its clip by the metrics that have a limit; empty without limits, and of a clip that came late."""


class TimingRow(Row):
    """One repeat of one stage of one timed point; of an open loop, one request of one repeat."""

    table = "timings"
    id: str
    """`WxHxT`, `batch4:WxHxT`, `offline:WxHxT`, `mixed:PACKING`, `serve:RATE/s`."""
    scenario: str = "latency"
    """latency, batch, offline, mixed or serve."""
    batch: int = 1
    """Clips per call."""
    frames: int | None = None
    """Number of frames of all clips of a call."""
    stage: str
    """first, whole, a stage of the generator, warmup (of an open loop), or failed."""
    repeat: int
    """Number of the repeat, from 0."""
    round: int = 0
    """Number of the interleaved round."""
    seconds: float | None
    """Wall time, of an open loop from the scheduled arrival; None for a failed point or request."""
    bytes: int = 0
    """Peak memory of the process in the call."""
    tokens: int | None = None
    """Number of tokens of all clips of a call, if the generator counts them."""
    flops: int | None = None
    """Operations of the stage, if the generator counts them."""
    reason: str = ""
    """Reason why the point, or the request, failed."""
    served: Served | None = None
    """Of an open loop: when the request arrived, and what was promised of its answer."""


class AttributionRow(Row):
    """The effect of one clip on a distance between sets."""

    table = "attribution"
    key = ("metric", "id")
    id: str
    """Id of the case."""
    metric: str
    """Name of the distance."""
    value: float
    """Decrease of the distance when the clip is left out, in its unit."""
    rank: int
    """1 is the clip with the largest decrease."""
    signature: str
    """Signature of the distance."""


M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], data: Mapping[str, Any]) -> M:
    """A record from plain JSON data, as strict as from a line of a file. Raises pydantic's ValidationError."""
    return model.model_validate_json(json.dumps(data))


TABLES: tuple[type[Row], ...] = (SourceRow, SampleRow, ScoreRow, OracleRow, MetricRow, TimingRow, AttributionRow)
