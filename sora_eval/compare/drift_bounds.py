"""How far the clips of one case lie apart when nothing changed: the bounds between UNCHANGED and DRIFTED, and their file. Pure
but for that file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sora_eval.records.names import check_name
from sora_eval.util.errors import BaselineError
from sora_eval.util.files import write_atomic
from sora_eval.util.sealed import read_json, sealed, unsealed

SCHEMA_VERSION = 1
FOLDER = Path("baselines/drift")


@dataclass(frozen=True)
class Bound:
    """The farthest value of one output between repeats, in its unit, with the signature that it holds for."""

    value: float
    signature: str


@dataclass(frozen=True)
class DriftBounds:
    """Bounds by output. `cases` is the number of cases behind each: a case in which nothing changed is past a bound
    with a chance of 1 in `cases` + 1 at most. `runs` are the repeats by spec, `suite` the id of their suite."""

    suite: str
    bounds: dict[str, Bound]
    cases: int
    runs: tuple[str, ...]
    made: str = ""

    def of(self, output: str, signature: str) -> float | None:
        """The bound of an output under this signature; None without one.

        >>> DriftBounds("s", {"fidelity.psnr": Bound(60.0, "psnr|x")}, 64, ()).of("fidelity.psnr", "psnr|x")
        60.0
        """
        bound = self.bounds.get(output)
        return bound.value if bound is not None and bound.signature == signature else None

    def write(self, path: Path) -> None:
        """Write the bounds as a sealed file. Raises BaselineError where it cannot be written."""
        content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(sealed(content), indent=1) + "\n")
        except OSError as error:
            raise BaselineError(f"{path} cannot be written: {error.strerror}") from error

    @staticmethod
    def read(path: Path) -> DriftBounds:
        """The bounds of a file. Raises BaselineError where it is missing, newer, damaged or of another kind."""
        try:
            data = read_json(path)
        except FileNotFoundError:
            raise BaselineError(f"{path} does not exist; write it with 'sora-eval calibrate --drift RUN RUN'") from None
        except (OSError, ValueError) as error:
            raise BaselineError(f"{path} is damaged: {error}; calibrate again") from error
        version = data.get("schema_version") if isinstance(data, dict) else None
        if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
            raise BaselineError(f"{path}: schema version {version!r}, this sora_eval reads {SCHEMA_VERSION}; calibrate again")
        try:
            content = {key: value for key, value in unsealed(data).items() if key != "schema_version"}
            return TypeAdapter(DriftBounds).validate_python(content)
        except (ValueError, ValidationError) as error:
            raise BaselineError(f"{path} is damaged: {error}; calibrate again") from error


def default_path(suite_id: str, folder: Path = FOLDER) -> Path:
    """`baselines/drift/<suite>.json`. Raises BaselineError for an id that is no name.

    >>> default_path("gate").as_posix()
    'baselines/drift/gate.json'
    """
    try:
        return folder / f"{check_name(suite_id)}.json"
    except ValueError as error:
        raise BaselineError(f"suite {suite_id!r}; {error}") from error


def bounds_for(suite_id: str, path: Path | None = None) -> DriftBounds | None:
    """The bounds of `path`, or else of the default file of a suite; None where that is not there. Raises BaselineError."""
    if path is not None:
        return DriftBounds.read(path)
    known = default_path(suite_id)
    return DriftBounds.read(known) if known.exists() else None
