"""The rows of a manifest of clips, checked: a wrong value is one message that names the file and the row."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sora_eval.records.names import Id
from sora_eval.suite.explaining import explained
from sora_eval.util.errors import GeneratorError
from sora_eval.util.visible import is_unicode

LARGEST_SEED = 2**53
# The names of VideoPhy and T2V-CompBench beside our own.
COLUMNS = {
    "path": ("path", "videopath", "video_path", "file"),
    "prompt": ("prompt", "caption", "text"),
    "prompt_id": ("prompt_id",),
    "seed": ("seed",),
}
ALIKE = 0.8  # of difflib: `prompts`, `prompt_en` and `Prompt ID` are meant for a column, `duration` and `model` are not
_WHOLE = re.compile(r"[+-]?[0-9]{1,16}")


def _whole(value: Any) -> Any:
    """A whole number from the text of a CSV file, or from a column of floats that holds the missing ones as NaN."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_SEED else value


def _text(value: Any) -> Any:
    """The text of an id that a table holds as a number."""
    value = _whole(value) if isinstance(value, float) else value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _path(value: Any) -> Any:
    if isinstance(value, str) and (not value.strip() or "\0" in value or not is_unicode(value)):
        raise ValueError("expected the path of a clip")
    return value


class ManifestRow(BaseModel):
    """One row of a manifest. `prompt_id` is '' where the file's name gives the id."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    path: Annotated[str, BeforeValidator(_path)]
    prompt: str = ""
    prompt_id: Annotated[Id, BeforeValidator(_text)] = ""
    seed: Annotated[int, BeforeValidator(_whole), Field(ge=-LARGEST_SEED, le=LARGEST_SEED)] = 0


def manifest_row(manifest: Path, number: int, record: dict[Any, Any]) -> ManifestRow:
    """The row `number`, from 1, of a manifest. An empty value other than the path counts as missing. Raises GeneratorError.

    >>> manifest_row(Path("m.csv"), 3, {"path": "a.mkv", "seed": "1.5"})
    Traceback (most recent call last):
    sora_eval.util.errors.GeneratorError: m.csv, row 3: seed = '1.5'; expected a valid integer
    """
    data = {key: plain(value) for key, value in record.items()}
    data = {key: value for key, value in data.items() if key == "path" or not _is_empty(value)}
    try:
        row = ManifestRow.model_validate(data)
    except ValidationError as error:
        raise GeneratorError(f"{manifest}, row {number}: {explained(error.errors()[0], ManifestRow)}") from None
    try:
        is_folder = (manifest.parent / row.path).is_dir()
    except OSError as error:
        raise GeneratorError(f"{manifest}, row {number}: path = {row.path[:80]!r}: {error.strerror}") from error
    if is_folder:
        raise GeneratorError(f"{manifest}, row {number}: path = {row.path!r} is a folder; expected a video file")
    return row


def check_columns(manifest: Path, columns: Iterable[Any]) -> None:
    """Raises GeneratorError for a column that is not read and looks like one that is missing.

    >>> check_columns(Path("m.csv"), ["path", " Prompt"])
    Traceback (most recent call last):
    sora_eval.util.errors.GeneratorError: m.csv: the column ' Prompt' is not known; did you mean 'prompt'?
    """
    names = list(columns)
    known = [alias for aliases in COLUMNS.values() for alias in aliases]
    missing = [a for aliases in COLUMNS.values() if not any(a in names for a in aliases) for a in aliases]
    for name in (n for n in names if n not in known):
        if close := get_close_matches(re.sub(r"[\W_]+", "_", str(name).strip().lower()), missing, 1, ALIKE):
            raise GeneratorError(f"{manifest}: the column {name!r} is not known; did you mean {close[0]!r}?")


def plain(value: Any) -> Any:
    """A cell as Python has it; None for NaN and the other missing values of tables."""
    value = value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
    missing = type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and math.isnan(value))
    return None if missing else value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)
