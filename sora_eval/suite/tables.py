"""The tables of a suite file, strict: an unknown key or a wrong type is an error."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from sora_eval.records.bucket import AXES, Axis
from sora_eval.records.names import Name

_SIDE = r"[1-9][0-9]{0,4}"
_SHAPE = re.compile(rf"{_SIDE}x{_SIDE}")
_CLIP_SHAPE = re.compile(rf"{_SIDE}x{_SIDE}x[1-9][0-9]{{0,5}}")
_ASPECT = re.compile(r"[1-9][0-9]{0,4}:[1-9][0-9]{0,4}")
T = TypeVar("T")


class Table(BaseModel):
    """A table of a suite file: strict types, finite numbers, no unknown keys, immutable. Raises pydantic's ValidationError."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def check_different(values: list[T]) -> list[T]:
    """The values, if no two are equal: equal ones would be equal cases. Raises ValueError.

    >>> check_different([9, 17, 9])
    Traceback (most recent call last):
    ValueError: expected different values; 9 occurs twice
    """
    if len(set(values)) < len(values):
        raise ValueError(f"expected different values; {Counter(values).most_common(1)[0][0]!r} occurs twice")
    return values


def check_finite(value: Any) -> Any:
    """A value of JSON or TOML, if no number in it is NaN or infinite. Raises ValueError.

    >>> check_finite({"gain": [1.0, math.inf]})
    Traceback (most recent call last):
    ValueError: expected finite numbers; one is inf
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers; one is {value}")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_finite(item)
    return value


Different = AfterValidator(check_different)
Rate = Annotated[float, Field(ge=0.1, le=1000)]  # frames per second
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=-(2**53), le=2**53)]


def with_new_words(data: Any, **names: str) -> Any:
    """A table with the keys of older suite files renamed by `names`, old to new. Raises ValueError if it has both.

    >>> with_new_words({"floor": 0.1}, floor="min_change")
    {'min_change': 0.1}
    """
    if not isinstance(data, dict):
        return data
    if both := [old for old, new in names.items() if old in data and new in data]:
        raise ValueError(f"{both[0]} is the old word for {names[both[0]]}; leave it out")
    return {names.get(key, key): value for key, value in data.items()}


class SuiteHead(Table):
    """Id and version of a suite: numbers of another version are not compared."""

    id: Name
    version: int = 1
    description: str = ""


class Prompts(Table):
    """A file of prompts, relative to the suite file: JSON lines with id, text, and optionally tags and facts."""

    file: str
    limit: int | None = Field(None, ge=1)


class Axes(Table):
    """The cases of each prompt: all shapes (`WIDTHxHEIGHT` in px) x lengths (frames) x seeds, at one rate."""

    shapes: Annotated[list[str], Different] = Field(min_length=1)
    frames: Annotated[list[Count], Different] = Field(min_length=1)
    fps: Rate = 8.0
    seeds: Annotated[list[Seed], Different] = Field(default=[0], min_length=1)

    @field_validator("shapes")
    @classmethod
    def _shapes(cls, values: list[str]) -> list[str]:
        for value in values:
            if not _SHAPE.fullmatch(value):
                raise ValueError(f"{value!r} is not WIDTHxHEIGHT in px, for example '40x24'")
        return values


class Generate(Table):
    """Settings of generation for the whole suite; None leaves one to the generator. Keys beside these are `options`, keywords
    of the generator's own, as those of `[generate.options]` are."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    num_inference_steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = None
    negative_prompt: str | None = None
    first_frames: int | None = Field(default=None, ge=1)  # of the prompt's video, or of the world's clip for its facts
    options: Annotated[dict[str, Any], AfterValidator(check_finite)] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _other_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("options", {}), dict):
            return data
        others = {key: value for key, value in data.items() if key not in cls.model_fields}
        options = data.get("options", {})
        if both := sorted(others.keys() & options.keys()):
            raise ValueError(f"{both[0]} is in [generate] and in [generate.options]; leave one out")
        if named := sorted(options.keys() & (cls.model_fields.keys() - {"options"})):
            raise ValueError(f"{named[0]} is a key of [generate] itself; write it there")
        return {**{key: value for key, value in data.items() if key not in others}, "options": {**options, **others}}

    @model_serializer(mode="wrap")
    def _without_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys that came later are left out where they are not set: suites without them keep their fingerprint."""
        later = ("negative_prompt", "first_frames", "options")
        return {key: value for key, value in serialize(self).items() if key not in later or value not in (None, {})}

    @property
    def given(self) -> list[str]:
        """The names of all settings that the suite gives."""
        named = ("num_inference_steps", "guidance_scale", "negative_prompt")
        return [*(name for name in named if getattr(self, name) is not None), *self.options]


class Reference(Table):
    """The source of the reference set: a generator that answers the same cases under other seeds, or a folder."""

    generator: str
    seed_offset: Seed = 1_000_000
    copies: int = Field(1, ge=1)  # clips per case


class Oracles(Table):
    """Generators with the best possible answers to the same cases, shown beside the values of per-clip physics metrics."""

    generators: Annotated[list[str], Different] = Field(min_length=1)


class Canonical(Table):
    """One canvas for all clips, generated and real, before they are scored. None leaves a property of the clip unchanged."""

    fps: Rate | None = None
    area: int | None = Field(None, ge=64)  # px
    seconds: float | None = Field(None, gt=0)
    aspect: str | None = None  # WIDTH:HEIGHT

    @field_validator("aspect")
    @classmethod
    def _aspect(cls, value: str | None) -> str | None:
        if value is not None and not _ASPECT.fullmatch(value):
            raise ValueError("expected WIDTH:HEIGHT, for example '16:9'")
        return value

    @property
    def ratio(self) -> float:
        """Width / height of the canvas.

        >>> Canonical(aspect="4:2").ratio
        2.0
        """
        width, height = map(int, (self.aspect or "1:1").split(":"))
        return width / height

    @property
    def fixed(self) -> tuple[Axis, ...]:
        """The axes on which clips are equal on this canvas.

        >>> Canonical(fps=8.0, seconds=2.0).fixed
        ('fps', 'length')
        """
        settings = {"resolution": self.area, "aspect": self.aspect, "fps": self.fps, "length": self.seconds}
        return tuple(axis for axis in AXES if settings[axis] is not None)

    @property
    def signature(self) -> str:
        """The suffix of the signatures of numbers on this canvas.

        >>> Canonical(fps=8.0, area=1024).signature
        '|canonical:fps=8.0,area=1024'
        """
        return "|canonical:" + ",".join(f"{k}={v}" for k, v in self.model_dump(exclude_none=True).items())


class Throughput(Table):
    """A sweep of timed calls: the `shapes` WIDTHxHEIGHTxFRAMES, and all of areas (px) x aspects x lengths (frames).

    `latency` times every shape at each size of `batch`. `offline` searches the largest batch of the smallest and of the
    largest shape that takes at most `batch_seconds` and `memory_share` of the memory that is free at the start. `mixed` serves
    one list of shapes with every packing of the generator. Repeats end after `repeats` of them and `min_seconds`.
    """

    prompt: str
    shapes: Annotated[list[str], Different] = []
    areas: Annotated[list[Annotated[int, Field(ge=1, le=2**32)]], Different] = []
    aspects: Annotated[list[str], Different] = []
    lengths: Annotated[list[Count], Different] = []
    batch: Annotated[list[Count], Different] = Field(default=[1], min_length=1)
    scenarios: Annotated[list[Literal["latency", "offline", "mixed"]], Different] = Field(default=["latency"], min_length=1)
    mixed: list[str] = []
    fps: Rate = 8.0
    repeats: int = Field(5, ge=1)
    warmup: int = Field(1, ge=0)
    min_seconds: float = Field(0.0, ge=0)
    batch_seconds: float = Field(2.0, gt=0)
    memory_share: float = Field(0.5, gt=0, le=1)

    @field_validator("shapes", "mixed")
    @classmethod
    def _shapes(cls, values: list[str]) -> list[str]:
        for value in values:
            if not _CLIP_SHAPE.fullmatch(value):
                raise ValueError(f"{value!r} is not WIDTHxHEIGHTxFRAMES, for example '40x24x17'")
        return values

    @field_validator("aspects")
    @classmethod
    def _aspects(cls, values: list[str]) -> list[str]:
        for value in values:
            if not _ASPECT.fullmatch(value):
                raise ValueError(f"{value!r} is not WIDTH:HEIGHT, for example '16:9'")
        return values

    @model_validator(mode="after")
    def _something(self) -> Throughput:
        axes = (self.areas, self.aspects, self.lengths)
        if any(axes) and not all(axes):
            raise ValueError("areas, aspects and lengths belong together; give all three, or shapes only")
        if not self.shapes and not self.areas:
            raise ValueError("nothing to time; give shapes, or areas with aspects and lengths")
        return self

    @property
    def sizes(self) -> list[tuple[int, int, int]]:
        """(width, height, frames) of `shapes`, which are used unchanged; areas x aspects are rounded to valid shapes elsewhere.

        >>> Throughput(prompt="a ball", shapes=["40x24x17"]).sizes
        [(40, 24, 17)]
        """
        return [tuple(map(int, s.split("x"))) for s in self.shapes]  # type: ignore[misc]


class Repeats(Table):
    """Repeats of one checkpoint under other seeds behind a limit: number of runs, cases per run, mean and standard deviation of
    the metric over the runs."""

    runs: int = Field(ge=2)
    cases: int = Field(ge=1)
    mean: float
    sd: float = Field(ge=0)


class Sessions(Table):
    """Sessions of one checkpoint on one machine behind a gate of speed: their number, and the standard deviation of a session's
    median in per cent, as `sora-eval history` measures them."""

    runs: int = Field(ge=3)
    percent: float = Field(ge=0)


class TagLimit(Table):
    """A row for every tag of at least `least` prompts, whose allowed change is `limit` per cent: one class of prompts may
    collapse while the mean holds. Few prompts are noisy, so it is wider than the gate's own."""

    limit: float = Field(gt=0)
    least: int = Field(8, ge=3)


class Gate(Table):
    """The allowed change of one metric between the baseline and a new run. Limits are per cent of the baseline's value.

    A change is a regression only past its limit *and* past `min_change` (in the metric's unit). `window` bounds the new value
    itself on both sides, so that an implausibly good one fails too. `slice` is `all` or a slice of `sora-eval compare
    --slices`, `tags` adds a row per tag. `profile` names the machine on which the speed of two jobs may be compared, `sessions`
    the noise between them.
    """

    max_increase: float | None = Field(None, ge=0)
    max_decrease: float | None = Field(None, ge=0)
    min_change: float = Field(0.0, ge=0)
    window: list[float] | None = None
    slice: str = "all"
    profile: str | None = None
    tags: TagLimit | None = None
    reason: str = ""
    provenance: str = ""
    repeats: Repeats | None = None
    sessions: Sessions | None = None

    @model_validator(mode="before")
    @classmethod
    def _old_words(cls, data: Any) -> Any:
        return with_new_words(data, floor="min_change")

    @field_validator("window")
    @classmethod
    def _window(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and not (len(value) == 2 and -math.inf < value[0] <= value[1] < math.inf):
            raise ValueError("expected [low, high], two finite numbers in order")
        return value

    @model_validator(mode="after")
    def _limits(self) -> Gate:
        if self.max_increase is None and self.max_decrease is None and self.window is None:
            raise ValueError("a gate needs at least one of max_increase, max_decrease and window")
        if self.tags is not None and self.max_increase is None and self.max_decrease is None:
            raise ValueError("tags limit a change: give max_increase, max_decrease or both beside them")
        return self

    def of_tag(self, tag: str) -> Gate:
        """The gate of one tag: its limit in the directions that are limited. Needs `tags`."""
        assert self.tags is not None
        ends = {k: self.tags.limit for k in ("max_increase", "max_decrease") if getattr(self, k) is not None}
        return self.model_copy(update={**ends, "slice": tag, "window": None, "tags": None})


class Tradeoff(Table):
    """`[gates.tradeoff]`: a change that must be worth it. The gated speed `metric` must get better by `faster` per cent of the
    baseline's value at least (latency falls, clips per second rise), in every shape or in that of `slice`, and every gate of
    quality must hold."""

    faster: float = Field(gt=0)
    metric: str = "latency"
    slice: str = "all"
    reason: str = ""
