"""Prompt files: JSON lines with id and text, and optionally tags, facts, a negative prompt, and an image or a video."""

from __future__ import annotations

from collections.abc import Iterable
from json import JSONDecodeError
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from sora_eval.records.case import FirstFrames, Prompt
from sora_eval.records.names import Id
from sora_eval.suite.explaining import explained
from sora_eval.suite.tables import Prompts, Table, check_finite
from sora_eval.util.errors import SuiteError
from sora_eval.util.files import read_bounded
from sora_eval.util.sealed import file_digest, parse_json


class PromptRow(Table):
    """One line of a prompt file, and one prompt of a run's suite.json."""

    id: Id
    text: str
    tags: list[Annotated[str, Field(min_length=1)]] = Field(default=[])
    facts: Annotated[dict[str, Any], AfterValidator(check_finite)] | None = None
    negative_prompt: str | None = None
    image: str | None = None  # file, relative to the prompt file: the frame that the clip begins with
    video: str | None = None  # file: the frames that the clip begins with
    sha256: str | None = None  # of its bytes

    @model_validator(mode="after")
    def _one_file(self) -> PromptRow:
        if self.image is not None and self.video is not None:
            raise ValueError("an image and a video are two beginnings; give one of them")
        if self.sha256 is not None and self.file is None:
            raise ValueError("sha256 is that of an image or a video; name the file")
        return self

    @property
    def file(self) -> str | None:
        """The image or the video."""
        return self.video if self.image is None else self.image

    @field_validator("text")
    @classmethod
    def _text(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected words; the prompt is empty")
        return value

    @property
    def prompt(self) -> Prompt:
        """The prompt as cases have it."""
        frames = None if self.file is None else FirstFrames(self.file, self.sha256 or "", self.video is not None)
        return Prompt(self.id, self.text, tuple(self.tags), self.facts, self.negative_prompt, frames)

    def located(self, folder: Path) -> PromptRow:
        """The row with the absolute path of its file and its hash. Raises ValueError if it is missing or another."""
        if self.file is None:
            return self
        path = (folder / self.file).resolve()
        try:
            digest = file_digest(path)
        except OSError as error:
            raise ValueError(f"{self.file!r} cannot be read: {error.strerror}: {path}") from error
        if self.sha256 not in (None, digest):
            raise ValueError(f"{path} has the sha256 {digest[:12]}..., and not the one of the row, {self.sha256!s:.12}...")
        return self.model_copy(update={"image" if self.video is None else "video": str(path), "sha256": digest})


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
            rows.append((number, parsed_prompt(parse_json(line, strict=True)).located(path.parent)))
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


def row_of(prompt: Prompt) -> dict[str, Any]:
    """The prompt as a line of a prompt file; keys that are rare are left out where they are not set."""
    frames = prompt.first_frames
    file = {} if frames is None else {"video" if frames.is_video else "image": frames.path, "sha256": frames.sha256}
    negative = {} if prompt.negative_prompt is None else {"negative_prompt": prompt.negative_prompt}
    return {"id": prompt.id, "text": prompt.text, "tags": list(prompt.tags), "facts": prompt.facts, **negative, **file}


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
