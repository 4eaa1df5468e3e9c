"""The run folder: every file that a run leaves behind, written so that a kill at any moment loses nothing."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from sora_eval.runs.head import GeneratorId, GitState, RunHead, SuiteId
from sora_eval.runs.rows import TABLES, Row
from sora_eval.runs.upgrade import FILES, SCHEMA_VERSION, upgraded_head, upgraded_row
from sora_eval.suite import Suite
from sora_eval.util.environment import git_state, hardware, software
from sora_eval.util.errors import RunError
from sora_eval.util.files import append_lines, cut_torn_line, whole_lines, write_atomic

R = TypeVar("R", bound=Row)


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_head(suite: Suite, generator: GeneratorId, **more: Any) -> RunHead:
    """run.json of a run that starts now: of what, where and by which command. `more` are further fields of `RunHead`."""
    return RunHead(
        schema_version=SCHEMA_VERSION,
        suite=SuiteId(id=suite.suite.id, version=suite.suite.version, fingerprint=suite.fingerprint),
        generator=generator,
        git=GitState(**git_state()),
        hardware=hardware(),
        software=software(),
        started=now(),
        command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **more,
    )


class RunFolder:
    """One run on disk. Rows are appended whole and flushed; a torn last line is cut off when the run is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def create(root: Path, head: RunHead, suite: dict[str, Any]) -> RunFolder:
        """Make `root/<utc time>-<suffix>` with suite.json and, last, run.json: what has one can be resumed.

        Raises RunError if it cannot be written.
        """
        name = f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        run = RunFolder(root / name)
        try:
            (run.path / "clips").mkdir(parents=True)
            (run.path / "features").mkdir()
            write_atomic(run.path / "suite.json", json.dumps(suite, indent=2) + "\n")
        except OSError as error:
            raise RunError(f"cannot write runs into {root}: {error.strerror}; choose another folder with --out") from error
        run.write_head(head)
        return run

    @staticmethod
    def open(path: Path) -> RunFolder:
        """Open a run for reading. Raises RunError when the folder is no run or of a newer schema."""
        run = RunFolder(path)
        run.head  # noqa: B018  (a head that cannot be read is an error here, once)
        return run

    @property
    def head(self) -> RunHead:
        """run.json, of any schema up to today's."""
        path = self.path / "run.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            version = data.get("schema_version") if isinstance(data, dict) else None
            if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
                raise RunError(
                    f"{self.path}: schema version {version!r}, but this sora_eval reads 1 to {SCHEMA_VERSION}; use the version "
                    "that wrote it"
                )
            return RunHead.model_validate_json(json.dumps(upgraded_head(data) if version < SCHEMA_VERSION else data))
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run folder: it has no run.json; see 'sora-eval list runs'") from None
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path} is damaged: {explained(error)}") from error

    def write_head(self, head: RunHead) -> None:
        write_atomic(self.path / "run.json", head.model_dump_json(indent=2, exclude={"run"}) + "\n")

    def update_head(self, **changes: Any) -> None:
        """Write run.json with other values of some fields."""
        self.write_head(RunHead.model_validate({**dict(self.head), **changes}))

    def repair(self) -> None:
        """Cut off rows that a kill left unfinished, and bring an older run to today's schema: it may be written now."""
        for row in TABLES:
            cut_torn_line(self._file(row))
        data = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        if data["schema_version"] < SCHEMA_VERSION:
            suite, head = stored_suite(self).to_json(), self.head
            tables = [(row, self.rows(row)) for row in TABLES if self._file(row).exists()]
            for row, rows in tables:
                self.replace(row, rows)
                if row.table in FILES:
                    (self.path / f"{FILES[row.table]}.jsonl").unlink(missing_ok=True)
            write_atomic(self.path / "suite.json", json.dumps(suite, indent=2) + "\n")
            self.write_head(head)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows of one table in one write."""
        if rows:
            append_lines(self.path / f"{rows[0].table}.jsonl", "".join(row.model_dump_json() + "\n" for row in rows))

    def replace(self, row: type[R], rows: Iterable[R]) -> None:
        """Write a whole table anew."""
        write_atomic(self.path / f"{row.table}.jsonl", "".join(r.model_dump_json() + "\n" for r in rows))

    def rows(self, row: type[R]) -> list[R]:
        """All whole rows of a table; none when it was never written. Raises RunError that names file, line and field."""
        path = self._file(row)
        lines = whole_lines(path)
        if not lines:
            return []
        old, adapter = self._is_old(), TypeAdapter(row)
        out = []
        for number, line in enumerate(lines, 1):
            try:
                text = json.dumps(upgraded_row(row.table, json.loads(line))) if old else line
                out.append(adapter.validate_json(text))
            except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(f"{path}:{number} is damaged: {explained(error)}; delete the line and use --resume") from error
        return out

    def _is_old(self) -> bool:
        data = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        return int(data["schema_version"]) < SCHEMA_VERSION

    def _file(self, row: type[Row]) -> Path:
        """Where a table lies; of a run of schema 1 under its name there."""
        path = self.path / f"{row.table}.jsonl"
        old = self.path / f"{FILES.get(row.table, row.table)}.jsonl"
        return old if old.exists() and not path.exists() else path

    def save_json(self, name: str, data: dict[str, Any]) -> Path:
        """Write one record of the run, such as verdicts.json, anew. Raises RunError if the folder cannot be written."""
        path = self.path / name
        try:
            write_atomic(path, json.dumps(data, indent=2) + "\n")
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror}") from error
        return path

    def clip_path(self, case_id: str) -> Path:
        """Where a case's clip is kept. Ids have safe characters only; a prompt never reaches a file name."""
        return self.path / "clips" / (re.sub(r"[^A-Za-z0-9._-]", "_", case_id) + ".mkv")

    def save_features(self, name: str, ids: list[str], values: npt.NDArray[Any], **extra: npt.NDArray[Any]) -> None:
        """Features of a set, (n, D), with the case ids of its rows."""
        path = self.path / "features" / f"{name}.npz"
        partial = path.with_suffix(".part.npz")
        np.savez(partial, ids=np.array(ids, dtype=np.str_), values=values, **extra)  # type: ignore[arg-type]
        os.replace(partial, path)

    def load_features(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """What `save_features` wrote; empty when there is none."""
        path = self.path / "features" / f"{name}.npz"
        if not path.exists():
            return {}
        with np.load(path, allow_pickle=False) as data:
            return dict(data)


def explained(error: Exception) -> str:
    """A fault of a record on one line: field, what was found, what was expected."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}" if not isinstance(error, json.JSONDecodeError) else str(error)
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"])) or "the row"
    return f"{place}: {problem['msg'][0].lower()}{problem['msg'][1:]}, found {str(problem['input'])[:60]!r}"


def stored_suite(folder: RunFolder) -> Suite:
    """The suite as it was when the run started."""
    path = folder.path / "suite.json"
    try:
        return Suite.from_json(json.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error!r}") from error


def find_runs(root: Path) -> list[RunFolder]:
    """All runs below a folder, oldest first."""
    return [RunFolder(p.parent) for p in sorted(root.glob("*/run.json"))]


def resolve_run(name: Path) -> RunFolder:
    """A run by its path, or by its name (or `latest`) in ./runs."""
    if name.exists():
        return RunFolder.open(name)
    root = Path("runs")
    runs = find_runs(root)
    if str(name) == "latest" and runs:
        return RunFolder.open(runs[-1].path)
    matching = [r for r in runs if r.path.name.startswith(str(name))]
    if len(matching) == 1:
        return RunFolder.open(matching[0].path)
    raise RunError(
        f"run {str(name)!r} is not a folder, and {len(matching)} runs in ./runs start with it; see 'sora-eval list runs'"
    )
