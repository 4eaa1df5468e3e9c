"""run.json in types: suite and generator of a run, the machine and code that made it, and its progress."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sora_eval.records.names import Name
from sora_eval.runs.upgrade import SCHEMA_VERSION
from sora_eval.suite import Suite
from sora_eval.util.environment import git_state, hardware, software
from sora_eval.util.errors import RunError
from sora_eval.util.redaction import redacted_command
from sora_eval.util.visible import encodable

T = TypeVar("T")
_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
Status = Literal["started", "scoring", "success", "error", "cancelled"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class SuiteId(_Record):
    """Identity of a suite; numbers of different suites are not compared."""

    id: Name
    version: int
    fingerprint: str
    """Hash of all that the suite asks and measures."""

    def __str__(self) -> str:
        return f"{self.id} version {self.version} ({self.fingerprint})"


class GeneratorId(_Record):
    """Identity of a generator."""

    spec: str = ""
    """Spec that it was opened by."""
    name: str
    checkpoint: str = ""
    fingerprint: str
    """Hash of weights and settings."""
    not_covered: str = ""
    """What the fingerprint does not know, in words; '' where equal ones mean equal weights and settings."""
    weights: str = ""
    """Hash of the weights alone, without backend, precision and steps; '' where it is not known."""
    training_steps: int | None = None
    """Training steps of the checkpoint, where it records them."""
    layout: str = ""
    """Layout by which prompts and seeds of existing clips were read; '' of other generators."""

    @property
    def label(self) -> str:
        """Name in tables: generator and checkpoint."""
        return ":".join(filter(None, [self.name, self.checkpoint]))


class GitState(_Record):
    """The repository of the working folder; None outside one."""

    commit: str | None = None
    dirty: bool | None = None


class LookRecord(_Record):
    """One look at a gate: number of prompts, level and verdict."""

    prompts: int
    alpha: float
    verdict: str


class Sequential(_Record):
    """State of a run of `--until-decided`, which adds prompts until its gate is decided."""

    baseline: str
    """Path of the baseline of every look."""
    baseline_run: str
    profile: str | None
    strict: bool
    batch: int
    """Number of prompts between two looks."""
    spending: str
    """Name of the spending function of the error rate."""
    pool: int
    """Number of prompts of the suite."""
    prompts: tuple[str, ...]
    """Ids of the prompts asked so far."""
    alpha: float
    """Level of the last look."""
    decided: bool = False
    looks: tuple[LookRecord, ...] = ()

    def words(self) -> str:
        """`decided after 24 of 64 prompts`."""
        return f"{'decided' if self.decided else 'undecided'} after {len(self.prompts)} of {self.pool} prompts"


class Shard(_Record):
    """A part of a run that is made on its own: the block `index` (from 1) of `count` blocks of its cases."""

    index: int = Field(ge=1)
    count: int = Field(ge=1)

    @staticmethod
    def parse(text: str) -> Shard:
        """The shard `I/N`. Raises RunError for anything else.

        >>> print(Shard.parse("2/3"))
        2/3
        """
        match = _SHARD.fullmatch(text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise RunError(f"--shard {text}: expected I/N with I from 1 to N, for example 1/4")
        return Shard(index=int(match[1]), count=int(match[2]))

    def of(self, items: Sequence[T]) -> list[T]:
        """The items of this block: cases of one prompt stay together, and every item is in one block.

        >>> [Shard(index=i, count=3).of("abcdefg") for i in (1, 2, 3)]
        [['a', 'b'], ['c', 'd'], ['e', 'f', 'g']]
        """
        first, last = (len(items) * i // self.count for i in (self.index - 1, self.index))
        return list(items[first:last])

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


class EngineUsed(_Record):
    """What carried a run: numbers of workers, and the GPUs of a cluster that each generator took."""

    name: Literal["local", "ray"]
    generators: int
    scorers: int
    gpus_per_generator: float | None = None


class RunHead(_Record):
    """run.json. `bench` describes an interleaved session of timings; times are in UTC."""

    schema_version: int
    run: str = ""
    """Name of the run folder; only set where the head is stored outside it."""
    status: Status = "started"
    partial: bool = False
    """Made with --limit or --shard; such a run cannot be gated."""
    limit: int | None = None
    shard: Shard | None = None
    """The part of the cases that it has, made with --shard."""
    merged: tuple[str, ...] = ()
    """Names of the shards that it was merged from."""
    suite: SuiteId
    changes: tuple[str, ...] = ()
    """`KEY=VALUE` of every --set by which the suite differs from its file."""
    generator: GeneratorId
    seed_offset: int = 0
    """Shift of every seed that the generator is asked for."""
    git: GitState = Field(default_factory=GitState)
    hardware: dict[str, Any] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)
    networks: dict[str, str] = Field(default_factory=dict)
    """Where the networks of the metrics ran: device, provider of ONNX Runtime, name of a GPU; empty before they did."""
    engine: EngineUsed | None = None
    """What carried the run; None: one process, which generates and then scores."""
    started: str = ""
    finished: str | None = None
    command: str = ""
    sequential: Sequential | None = None
    bench: dict[str, Any] | None = None
    cases: int = 0
    failed_cases: int = 0
    failed_metrics: int = 0
    files: dict[str, str] = Field(default_factory=dict)
    """sha256 of every file of a finished run, by path in its folder; empty while files may still be written."""
    error: str = ""
    """Reason of the status error."""

    def unfinished(self, run: str) -> str:
        """Why a run has not ended well, with the command that makes it whole, where one does; '' for one that has.

        `run` names it in the command.
        """
        if self.status == "success":
            return ""
        if self.bench is not None:
            remedy = "timings of two sessions do not go together: start it again"
        else:
            remedy = f"sora-eval score {run}" if self.status == "scoring" else f"sora-eval run --resume {run}"
        return f"the run has status {self.status!r}; {remedy}"

    @property
    def part(self) -> str:
        """The options that made a run partial, `--limit 5 --shard 1/2`; '' of a whole one."""
        given = {"--limit": self.limit, "--shard": self.shard} if self.partial else {}
        return " ".join(f"{option} {value}" for option, value in given.items() if value is not None)

    @property
    def not_whole(self) -> str:
        """Why a run does not stand for its suite's quality: it stopped early, or timed only; '' for one that does."""
        return (
            "it is a run of 'sora-eval bench', which times and scores nothing" if self.bench is not None else self.stopped_early
        )

    @property
    def stopped_early(self) -> str:
        """That a run of `--until-decided` has asked some prompts of its suite only, in words; '' for any other run."""
        sized = self.sequential
        if sized is None or len(sized.prompts) >= sized.pool:
            return ""
        return f"it stopped when it was decided, after {len(sized.prompts)} of {sized.pool} prompts"


def now() -> str:
    """The time in UTC, to the microsecond, which orders the runs of one second: `2026-01-31T12:00:00.000000Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def suite_id(suite: Suite) -> SuiteId:
    """The identity of a suite."""
    return SuiteId(id=suite.suite.id, version=suite.suite.version, fingerprint=suite.fingerprint)


def new_head(suite: Suite, generator: GeneratorId, **more: Any) -> RunHead:
    """run.json of a run that starts now: suite, generator, repository, machine and command. `more` are fields of `RunHead`."""
    return RunHead(
        schema_version=SCHEMA_VERSION,
        suite=suite_id(suite),
        changes=suite.changes,
        generator=generator,
        git=GitState(**git_state()),
        hardware=hardware(),
        software=software(),
        started=now(),
        command=encodable(redacted_command([Path(sys.argv[0]).name, *sys.argv[1:]])),
        **more,
    )
