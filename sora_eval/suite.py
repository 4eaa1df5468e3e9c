"""Suites: strict TOML files that say what to ask of a generator and how to measure the answer; and their cases."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from sora_eval.buckets import AXES, Axis
from sora_eval.errors import SoraEvalError, SuiteError
from sora_eval.errors import near as _near
from sora_eval.metrics import REGISTRY, check_options

_SHAPE = re.compile(r"^([1-9]\d*)x([1-9]\d*)$")
_CLIP_SHAPE = re.compile(r"^([1-9]\d*)x([1-9]\d*)x([1-9]\d*)$")
_ASPECT = re.compile(r"^[1-9]\d*:[1-9]\d*$")
# What [throughput] gives, beside `latency.<stage>`.
SPEED_METRICS = [
    "latency",
    "clips_per_second",
    "frames_per_second",
    "tokens_per_second",
    "peak_bytes",
    "flops",
    "share_of_peak",
]
_ID = re.compile(r"^[A-Za-z0-9._-]+$")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SuiteHead(_Table):
    id: str
    version: int = 1
    description: str = ""


class Prompts(_Table):
    """A file of prompts, relative to the suite file: JSON lines with id, text, and optionally tags and facts."""

    file: str
    limit: int | None = Field(None, ge=1)


class Axes(_Table):
    """What every prompt is asked for: all shapes x lengths x seeds."""

    shapes: list[str] = Field(min_length=1)
    frames: list[int] = Field(min_length=1)
    fps: float = Field(8.0, gt=0)
    seeds: list[int] = Field(default=[0], min_length=1)

    @field_validator("shapes")
    @classmethod
    def _shapes(cls, values: list[str]) -> list[str]:
        for value in values:
            if not _SHAPE.match(value):
                raise ValueError(f"{value!r} is not WIDTHxHEIGHT in px, for example '40x24'")
        return values

    @field_validator("frames")
    @classmethod
    def _frames(cls, values: list[int]) -> list[int]:
        for value in values:
            if value < 1:
                raise ValueError(f"{value} frames; expected at least 1")
        return values


class Generate(_Table):
    """Settings of generation that the whole suite shares; left out, the generator's own defaults hold."""

    num_inference_steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = None


class Reference(_Table):
    """Where the reference set comes from: a generator asked for the same cases under other seeds, or a folder."""

    generator: str
    seed_offset: int = 1_000_000
    copies: int = Field(1, ge=1)  # clips a case


class Floors(_Table):
    """Generators that cannot do better, on the same cases: per-clip metrics of physics show them beside the value."""

    generators: list[str] = Field(min_length=1)


class Canonical(_Table):
    """One canvas for all clips, generated and real, before they are scored. What is left out stays as it is."""

    fps: float | None = Field(None, gt=0)
    area: int | None = Field(None, ge=64)  # px
    seconds: float | None = Field(None, gt=0)
    aspect: str | None = None  # WIDTH:HEIGHT

    @field_validator("aspect")
    @classmethod
    def _aspect(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"^[1-9]\d*:[1-9]\d*$", value):
            raise ValueError("expected WIDTH:HEIGHT, for example '16:9'")
        return value

    @property
    def ratio(self) -> float:
        """Width / height of the canvas."""
        width, height = map(int, (self.aspect or "1:1").split(":"))
        return width / height

    @property
    def fixed(self) -> tuple[Axis, ...]:
        """What no longer differs between clips on this canvas."""
        given = {"resolution": self.area, "aspect": self.aspect, "fps": self.fps, "length": self.seconds}
        return tuple(axis for axis in AXES if given[axis] is not None)

    @property
    def signature(self) -> str:
        """A suffix of the signature of every number that was made on it."""
        return "|canonical:" + ",".join(f"{k}={v}" for k, v in self.model_dump(exclude_none=True).items())


class Throughput(_Table):
    """A sweep of timed calls: the `shapes` WIDTHxHEIGHTxFRAMES, and all of areas (px) x aspects x lengths (frames).

    Every shape is timed as single clips (`latency`) at each size of `batch`; `offline` looks for the largest batch of the
    smallest and of the largest shape that is answered within `batch_seconds` and `memory_share` of the memory that is free
    at the start; `mixed` serves one list of shapes in every
    way that the generator knows. Repeats go on until there are `repeats` of them and `min_seconds` have passed.
    """

    prompt: str
    shapes: list[str] = []
    areas: list[int] = []
    aspects: list[str] = []
    lengths: list[int] = []
    batch: list[int] = Field(default=[1], min_length=1)
    scenarios: list[Literal["latency", "offline", "mixed"]] = Field(default=["latency"], min_length=1)
    mixed: list[str] = []
    fps: float = Field(8.0, gt=0)
    repeats: int = Field(5, ge=1)
    warmup: int = Field(1, ge=0)
    min_seconds: float = Field(0.0, ge=0)
    batch_seconds: float = Field(2.0, gt=0)
    memory_share: float = Field(0.5, gt=0, le=1)

    @field_validator("shapes", "mixed")
    @classmethod
    def _shapes(cls, values: list[str]) -> list[str]:
        for value in values:
            if not _CLIP_SHAPE.match(value):
                raise ValueError(f"{value!r} is not WIDTHxHEIGHTxFRAMES, for example '40x24x17'")
        return values

    @field_validator("aspects")
    @classmethod
    def _aspects(cls, values: list[str]) -> list[str]:
        for value in values:
            if not _ASPECT.match(value):
                raise ValueError(f"{value!r} is not WIDTH:HEIGHT, for example '16:9'")
        return values

    @field_validator("areas", "lengths", "batch")
    @classmethod
    def _counts(cls, values: list[int]) -> list[int]:
        for value in values:
            if value < 1:
                raise ValueError(f"{value}; expected at least 1")
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
        """Of the shapes that are named: they are taken as they are, where areas x aspects are snapped."""
        return [tuple(map(int, s.split("x"))) for s in self.shapes]  # type: ignore[misc]


class Gate(_Table):
    """What one metric may do between the baseline and a new run. Limits are per cent of the baseline's value.

    A change is a regression only past its limit *and* past `floor` (in the metric's unit). `window` bounds the new value
    itself, on both sides, so that a suspiciously good one fails too. `slice` is `all` or a slice of `sora-eval compare
    --slices`. `profile` names the machine on which the speed of two jobs may be compared.
    """

    max_increase: float | None = Field(None, ge=0, allow_inf_nan=False)
    max_decrease: float | None = Field(None, ge=0, allow_inf_nan=False)
    floor: float = Field(0.0, ge=0, allow_inf_nan=False)
    window: list[float] | None = None
    slice: str = "all"
    profile: str | None = None
    reason: str = ""
    provenance: str = ""

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
        return self


@dataclass(frozen=True)
class Prompt:
    """One prompt. `facts` say what must be seen, where they are known."""

    id: str
    text: str
    tags: tuple[str, ...] = ()
    facts: dict[str, Any] | None = None


@dataclass(frozen=True)
class Case:
    """One requested clip. Of a case that comes with its video, the shape is not known before it is read (None)."""

    prompt: Prompt
    width: int | None
    height: int | None
    num_frames: int | None
    fps: float | None
    seed: int = 0

    @property
    def shape(self) -> str:
        return "native" if self.width is None else f"{self.width}x{self.height}x{self.num_frames}"

    @property
    def id(self) -> str:
        return f"{self.prompt.id}/{self.shape}/{self.seed}"


class Suite(_Table):
    """A loaded suite. Without prompts, the cases are what the generator brings (a folder of videos)."""

    suite: SuiteHead
    prompts: Prompts | None = None
    axes: Axes | None = None
    generate: Generate = Field(default_factory=Generate)
    reference: Reference | None = None
    canonical: Canonical | None = None
    metrics: dict[str, dict[str, Any]] = {}
    floors: Floors | None = None
    throughput: Throughput | None = None
    gates: dict[str, Gate] = {}
    _path: Path = PrivateAttr(Path("suite.toml"))

    @property
    def path(self) -> Path:
        return self._path

    @cached_property
    def prompt_list(self) -> list[Prompt]:
        return [] if self.prompts is None else _read_prompts(self)

    @cached_property
    def cases(self) -> list[Case]:
        """All cases, prompt by prompt. An id depends on the case alone, not on its place or on a limit."""
        if self.axes is None:
            return []
        sizes = [tuple(map(int, s.split("x"))) for s in self.axes.shapes]
        return [
            Case(prompt, width, height, frames, self.axes.fps, seed)
            for prompt in self.prompt_list
            for width, height in sizes
            for frames in self.axes.frames
            for seed in self.axes.seeds
        ]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that is asked and measured, prompts included: two runs with the same one can be compared.

        Gates are left out: a limit judges numbers and changes none, so that a limit that is calibrated again does not
        make the runs and the baseline before it incomparable. Floors are too: they only stand beside the numbers.
        """
        declared = self.model_dump(mode="json", exclude={"suite": {"description"}, "gates": True, "floors": True})
        declared["prompt_list"] = [[p.id, p.text, p.facts] for p in self.prompt_list]
        return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """All that was declared, prompts included: enough to go on without the suite's files."""
        prompts = [{"id": p.id, "text": p.text, "tags": list(p.tags), "facts": p.facts} for p in self.prompt_list]
        return {"declared": self.model_dump(mode="json"), "prompts": prompts}

    @staticmethod
    def from_json(data: dict[str, Any], path: Path) -> Suite:
        """The inverse of `to_json`."""
        suite = Suite.model_validate(data["declared"])
        suite._path = path
        suite.__dict__["prompt_list"] = [Prompt(p["id"], p["text"], tuple(p["tags"]), p["facts"]) for p in data["prompts"]]
        return suite


def shipped() -> list[str]:
    """Names of the suites on board."""
    return sorted(p.name.removesuffix(".toml") for p in resources.files("suites").iterdir() if p.name.endswith(".toml"))


def load_suite(name: str | Path) -> Suite:
    """Load a suite by path or by shipped name. Raises SuiteError, one line a problem."""
    path = Path(name)
    if not path.is_file():
        path = Path(str(resources.files("suites"))) / f"{name}.toml"
    if not path.is_file():
        raise SuiteError(f"suite {str(name)!r} is neither a file nor shipped; shipped: {', '.join(shipped())}")
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: not valid TOML: {error}") from error
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        raise SuiteError("\n".join(f"{path}: {_explain(problem)}" for problem in error.errors())) from None
    suite._path = path
    if (suite.prompts is None) != (suite.axes is None):
        raise SuiteError(f"{path}: [prompts] and [axes] belong together; leave both out to score what a generator brings")
    if suite.floors is not None and suite.axes is None:
        raise SuiteError(f"{path}: [floors] are made of the suite's own prompts; add [prompts] and [axes], or leave them out")
    if not suite.metrics and suite.throughput is None:
        raise SuiteError(f"{path}: neither [metrics.*] nor [throughput]: the suite would measure nothing")
    for metric, options in suite.metrics.items():
        _check_metric(path, metric, options)
    for metric in suite.gates:
        _check_gate(suite, metric)
    suite.prompt_list  # noqa: B018  (a broken prompt file is an error of the suite)
    return suite


def gates_of(suite: Suite, fingerprint: str) -> dict[str, Gate]:
    """The gates of a suite file, for a run of the suite with `fingerprint`. Raises SuiteError if that is another."""
    if suite.fingerprint != fingerprint:
        raise SuiteError(f"{suite.path} (fingerprint {suite.fingerprint}) is not the suite of the run ({fingerprint})")
    return suite.gates


def _check_metric(path: Path, metric: str, options: dict[str, Any]) -> None:
    if metric not in REGISTRY:
        raise SuiteError(f"{path}: [metrics.{metric}] is not a metric{_near(metric, list(REGISTRY))}")
    known = REGISTRY[metric].options
    for key, value in options.items():
        if key not in known:
            raise SuiteError(f"{path}: [metrics.{metric}].{key} is not an option{_near(key, list(known))}")
        if type(value) is not type(known[key]):
            expected = type(known[key]).__name__
            raise SuiteError(f"{path}: [metrics.{metric}].{key} = {value!r} is {type(value).__name__}; expected {expected}")
    try:
        check_options(metric, options)
    except SoraEvalError as error:
        raise SuiteError(f"{path}: {error}") from error


def _check_gate(suite: Suite, metric: str) -> None:
    known = [o for name in suite.metrics for o in REGISTRY[name].outputs or (name,)]
    if suite.throughput is not None:
        known += SPEED_METRICS
    if metric in known or (suite.throughput is not None and metric.startswith("latency.")):
        return
    raise SuiteError(f"{suite.path}: [gates.{_quoted(metric)}] is not measured by this suite{_near(metric, known)}")


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _explain(problem: Any) -> str:
    """One pydantic error in the words of the file: `[axes].frames = 'x': found str, expected int`."""
    location = [str(part) for part in problem["loc"]]
    table, key = (location[0], location[-1]) if len(location) > 1 else ("", location[-1])
    where = f"[{table}].{'.'.join(location[1:])}" if table else f"[{key}]"
    tables: dict[str, type[BaseModel]] = {
        "": Suite,
        "suite": SuiteHead,
        "prompts": Prompts,
        "axes": Axes,
        "generate": Generate,
        "reference": Reference,
        "floors": Floors,
        "canonical": Canonical,
        "throughput": Throughput,
        "gates": Gate,
    }
    model = tables.get(table, Suite)
    if problem["type"] == "extra_forbidden":
        return f"{where} is not known{_near(key, list(model.model_fields))}"
    if problem["type"] == "missing":
        return f"{where} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], dict):  # a rule about the whole table
        return f"[{'.'.join(map(_quoted, location))}]: {message}"
    return f"{where} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _read_prompts(suite: Suite) -> list[Prompt]:
    assert suite.prompts is not None
    path = suite.path.parent / suite.prompts.file
    if not path.is_file():
        raise SuiteError(f"{suite.path}: [prompts].file = {suite.prompts.file!r}: {path} does not exist")
    prompts: list[Prompt] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prompt = Prompt(str(row["id"]), str(row["text"]), tuple(row.get("tags", ())), row.get("facts"))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise SuiteError(f"{path}:{number}: expected a JSON object with id and text: {error!r}") from error
        if not _ID.match(prompt.id):
            raise SuiteError(f"{path}:{number}: id {prompt.id!r} may have letters, digits, '.', '_' and '-' only")
        if not prompt.text.strip():
            raise SuiteError(f"{path}:{number}: the prompt {prompt.id!r} is empty")
        prompts.append(prompt)
    repeated = {p.id for p in prompts if sum(q.id == p.id for q in prompts) > 1}
    if repeated or not prompts:
        raise SuiteError(f"{path}: " + (f"ids occur twice: {', '.join(sorted(repeated))}" if repeated else "no prompts"))
    return prompts[: suite.prompts.limit]
