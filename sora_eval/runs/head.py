"""run.json in types: what a run is of, where and how it was made, and how far it came."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class SuiteId(_Record):
    """Which suite; numbers of unlike ones are not compared."""

    id: str
    version: int
    fingerprint: str
    """Hash of all that is asked and measured."""

    def __str__(self) -> str:
        return f"{self.id} version {self.version} ({self.fingerprint})"


class GeneratorId(_Record):
    """Which generator."""

    spec: str = ""
    """As it was opened."""
    name: str
    checkpoint: str = ""
    fingerprint: str
    """Hash of weights and settings."""
    training_steps: int | None = None
    """Of the checkpoint, where it records them."""

    @property
    def label(self) -> str:
        """How tables call it: name and checkpoint."""
        return ":".join(filter(None, [self.name, self.checkpoint]))


class GitState(_Record):
    """The repository of the working folder; None outside one."""

    commit: str | None = None
    dirty: bool | None = None


class LookRecord(_Record):
    """One look at a gate: after how many prompts, at which level, and what it said."""

    prompts: int
    alpha: float
    verdict: str


class Sequential(_Record):
    """A run that is given prompts until its gate is decided."""

    baseline: str
    """Path of the baseline that every look is compared with."""
    baseline_run: str
    profile: str | None
    strict: bool
    batch: int
    """Prompts between two looks."""
    spending: str
    """Spending function of the error rate."""
    pool: int
    """Prompts of the suite."""
    prompts: tuple[str, ...]
    """Ids of those asked so far."""
    alpha: float
    """Level of the last look."""
    decided: bool = False
    looks: tuple[LookRecord, ...] = ()

    def words(self) -> str:
        """`decided after 24 of 64 prompts`."""
        return f"{'decided' if self.decided else 'undecided'} after {len(self.prompts)} of {self.pool} prompts"


class RunHead(_Record):
    """run.json. `bench` are the facts of an interleaved session of timings; hardware and software are compared whole."""

    schema_version: int
    run: str = ""
    """Name of the run folder, kept where the head travels without it."""
    status: Literal["started", "success", "error", "cancelled"] = "started"
    partial: bool = False
    """Made with --limit; such a run cannot be gated."""
    limit: int | None = None
    suite: SuiteId
    generator: GeneratorId
    seed_offset: int = 0
    """Added to every seed."""
    git: GitState = Field(default_factory=GitState)
    hardware: dict[str, Any] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)
    started: str = ""
    """UTC."""
    finished: str | None = None
    """UTC."""
    command: str = ""
    sequential: Sequential | None = None
    bench: dict[str, Any] | None = None
    cases: int = 0
    failed_cases: int = 0
    failed_metrics: int = 0
    error: str = ""
    """Why the run ended with status error."""
