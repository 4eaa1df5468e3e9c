"""Prompt files: JSON lines with id, text, and optionally tags and facts."""

from __future__ import annotations

from collections.abc import Iterable
from json import JSONDecodeError
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, field_validator

from sora_eval.records.case import Prompt
from sora_eval.records.names import Id
from sora_eval.suite.explaining import explained
from sora_eval.suite.tables import Prompts, Table, check_finite
from sora_eval.util.errors import SuiteError
from sora_eval.util.files import read_bounded
from sora_eval.util.sealed import parse_json


class PromptRow(Table):
    """One line of a prompt file, and one prompt of a run's suite.json."""

    id: Id
    text: str
    tags: list[Annotated[str, Field(min_length=1)]] = Field(default=[])
    facts: Annotated[dict[str, Any], AfterValidator(check_finite)] | None = None

    @field_validator("text")
    @classmethod
    def _text(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected words; the prompt is empty")
        return value

    @property
    def prompt(self) -> Prompt:
        """The prompt as cases have it."""
        return Prompt(self.id, self.text, tuple(self.tags), self.facts)


def read_prompts(suite: Path, table: Prompts) -> list[Prompt]:
    """The prompts of the [prompts] table of a suite file, at most `limit`; its path is relative to `suite`, the suite file.

    Raises SuiteError for a missing file, an invalid line, an empty prompt, a repeated id, or no prompts.
    """
    path, key = suite.parent / table.file, f"{suite}: [prompts].file = {table.file!r}"
    try:
        lines = read_bounded(path).split("\n")
    except FileNotFoundError:
        raise SuiteError(f"{key}: {path} does not exist") from None
    except OSError as error:
        raise SuiteError(f"{key}: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SuiteError(f"{path}: {error}") from error
    rows: list[tuple[int, PromptRow]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append((number, parsed_prompt(parse_json(line, strict=True))))
        except JSONDecodeError as error:
            place = f"{error.msg} at column {error.colno}"
            raise SuiteError(f"{path}:{number}: expected a JSON object with id and text: {place}") from error
        except ValueError as error:
            raise SuiteError(f"{path}:{number}: {error}") from error
    if not rows:
        raise SuiteError(f"{path}: no prompts; expected JSON lines with id and text")
    if repeated := _repeated(rows):
        raise SuiteError(f"{path}:{repeated}")
    return [row.prompt for _, row in rows][: table.limit]


def parsed_prompt(data: Any) -> PromptRow:
    """A prompt of JSON data. Raises ValueError with one line: `tags = 'dog'; expected a valid list`."""
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object with id and text, found {str(data)[:60]!r}")
    try:
        return PromptRow.model_validate(data)
    except ValidationError as error:
        raise ValueError(explained(error.errors()[0], PromptRow)) from None


def parsed_prompts(data: Any) -> list[Prompt]:
    """The prompts of a run's suite.json. Raises ValueError."""
    if not isinstance(data, list):
        raise ValueError(f"prompts = {str(data)[:60]!r}; expected a list")
    rows = list(enumerate(map(parsed_prompt, data)))
    if repeated := _repeated(rows):
        raise ValueError(f"prompts.{repeated}")
    return [row.prompt for _, row in rows]


def _repeated(rows: Iterable[tuple[int, PromptRow]]) -> str:
    """Place and fault of the first id that occurs a second time, or ''."""
    places: dict[str, int] = {}
    for place, row in rows:
        if (first := places.setdefault(row.id, place)) != place:
            return f"{place}: id = {row.id!r}; expected another one than at {first}"
    return ""
