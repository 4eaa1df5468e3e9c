"""A loaded suite and its cases."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from sora_eval.records.case import Case, Prompt
from sora_eval.suite.prompts import parsed_prompts, read_prompts, row_of
from sora_eval.suite.serve import Serve
from sora_eval.suite.tables import (
    Axes,
    Canonical,
    Gate,
    Generate,
    Oracles,
    Prompts,
    Reference,
    SuiteHead,
    Table,
    Throughput,
    Tradeoff,
    check_finite,
    with_new_words,
)
from sora_eval.util.redaction import by_rule, redacted
from sora_eval.util.visible import encodable


class Suite(Table):
    """A loaded suite. Without prompts, the cases come from the generator (a folder of videos)."""

    suite: SuiteHead
    prompts: Prompts | None = None
    axes: Axes | None = None
    generate: Generate = Field(default_factory=Generate)
    reference: Reference | None = None
    canonical: Canonical | None = None
    metrics: dict[str, Annotated[dict[str, Any], AfterValidator(check_finite)]] = Field(default_factory=dict)
    oracles: Oracles | None = None
    throughput: Throughput | None = None
    serve: Serve | None = None
    gates: dict[str, Gate] = Field(default_factory=dict)
    tradeoff: Tradeoff | None = None  # [gates.tradeoff] of the file
    _path: Path = PrivateAttr(Path("suite.toml"))
    _folder: Path | None = PrivateAttr(None)
    _changes: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="before")
    @classmethod
    def _old_words(cls, data: Any) -> Any:
        return with_new_words(data, floors="oracles")

    @model_validator(mode="before")
    @classmethod
    def _tradeoff(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if data.get("tradeoff") is not None:
            raise ValueError("a tradeoff is a gate: call the table [gates.tradeoff]")
        gates = data.get("gates")
        if not isinstance(gates, dict) or "tradeoff" not in gates:
            return data
        return {**data, "gates": {k: v for k, v in gates.items() if k != "tradeoff"}, "tradeoff": gates["tradeoff"]}

    @property
    def path(self) -> Path:
        """The suite file."""
        return self._path

    @property
    def changes(self) -> tuple[str, ...]:
        """The `KEY=VALUE` of --set by which it differs from its file, without secrets."""
        return self._changes

    @property
    def folder(self) -> Path:
        """The folder that paths in the suite are relative to: that of its file, also in a run that resumes elsewhere."""
        return self.path.parent if self._folder is None else self._folder

    @property
    def reference_spec(self) -> str:
        """The spec of the reference set, the path of a folder relative to `folder`; '' without one.

        >>> suite = Suite.model_validate({"suite": {"id": "s"}, "reference": {"generator": "folder:real?damaged=note"}})
        >>> suite.reference_spec
        'folder:real?damaged=note'
        """
        spec = "" if self.reference is None else self.reference.generator
        kind, _, rest = spec.partition(":")
        return f"folder:{self.folder / rest}" if kind == "folder" and rest else spec

    @cached_property
    def prompt_list(self) -> list[Prompt]:
        """The prompts, empty without [prompts]. Raises SuiteError as `read_prompts` does."""
        return [] if self.prompts is None else read_prompts(self.path, self.prompts)

    @cached_property
    def cases(self) -> list[Case]:
        """All cases, prompt by prompt; empty without [axes]. An id depends on the case alone, not on position or limit."""
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
        """Hash of all that is asked and measured, prompts included, as 16 hex digits: runs of equal ones can be compared.

        Gates and oracles are left out, since they change no number: runs and baselines stay comparable after a calibration.
        """
        declared = self.model_dump(
            mode="json", exclude={"suite": {"description"}, "gates": True, "tradeoff": True, "oracles": True}
        )
        if self.serve is None:  # a table that came later: suites without it keep their fingerprint
            del declared["serve"]
        declared = redacted(declared, text=by_rule)  # a run's record of its suite, which has no secrets, has the same hash
        declared["prompt_list"] = [[p.id, p.text, p.facts, *_conditions(p)] for p in self.prompt_list]
        return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """All declarations, secrets left out, with the prompts: a run resumes from them without the suite's files."""
        prompts = [row_of(p) for p in self.prompt_list]
        declared = self.model_dump(mode="json")
        if tradeoff := declared.pop("tradeoff"):
            declared["gates"]["tradeoff"] = tradeoff
        folder = encodable(str(self.folder.resolve()))
        return {"declared": redacted(declared), "prompts": prompts, "folder": folder, "changes": list(self.changes)}

    @staticmethod
    def from_json(data: dict[str, Any], path: Path) -> Suite:
        """The inverse of `to_json`; `path` names the suite in messages. Raises ValueError and KeyError for other data."""
        suite = Suite.model_validate(data["declared"])
        suite._path, suite._folder = path, Path(data.get("folder", ""))  # older runs: where the command runs
        suite._changes = tuple(map(str, data.get("changes", ())))
        suite.__dict__["prompt_list"] = parsed_prompts(data["prompts"])
        return suite


def _conditions(prompt: Prompt) -> list[Any]:
    """What a prompt asks beside its text, by content; empty for most, whose fingerprints stay those of older versions."""
    frames = prompt.first_frames
    if frames is None and prompt.negative_prompt is None:
        return []
    return [prompt.negative_prompt, None if frames is None else [frames.sha256, frames.is_video]]
