"""The run folder: every file of a run, written so that a kill at any moment loses no whole row."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from sora_eval.records.names import check_name, file_name
from sora_eval.runs.head import RunHead, Status, now, suite_id
from sora_eval.runs.lock import RunLock
from sora_eval.runs.rows import TABLES, Row, SourceRow
from sora_eval.runs.sums import Sums, file_sum, row_sum
from sora_eval.runs.trust import SIGNATURE, foreign_entry, is_inside, is_own, signed
from sora_eval.runs.upgrade import FILES, SCHEMA_VERSION, SEALED_SINCE, upgraded_head, upgraded_row
from sora_eval.runs.vectors import in_order, without_secrets
from sora_eval.suite import Suite
from sora_eval.util.errors import RunError
from sora_eval.util.files import append_lines, cut_torn_line, replacing, whole_lines, write_atomic
from sora_eval.util.redaction import redacted, redacted_lines
from sora_eval.util.sealed import file_digest, parse_json, read_json, sealed, unsealed
from sora_eval.util.visible import encodable

R = TypeVar("R", bound=Row)
# Fields that hold no secret, though a word of theirs may be the value of one: the user's own prompts, ids, names, states.
_NO_SECRETS = ("prompt", "prompt_id", "id", "metric", "slice", "declared", "status", "stage", "scenario", "sha256")


class RunFolder:
    """One run on disk. Rows are appended whole and flushed; `repair` cuts off a torn last line before a run goes on.

    Methods that write raise OSError unless they say otherwise.
    """

    def __init__(self, path: Path, trust: bool = False) -> None:
        self.path, self.trust, self.lock, self._sums = path, trust, RunLock(path), Sums(path)

    @staticmethod
    def create(root: Path, head: RunHead, suite: dict[str, Any], sources: Sequence[SourceRow] = ()) -> RunFolder:
        """Make `root/<utc time>-<suffix>` with suite.json, sources.jsonl and, last, run.json, without which it is no run.

        Whoever makes it holds its lock. Raises RunError if they cannot be written.
        """
        name = f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        run = RunFolder(root / name)
        try:
            (run.path / "clips").mkdir(parents=True)
            (run.path / "features").mkdir()
            run.lock.acquire()
            write_atomic(run.path / "suite.json", json.dumps(suite, indent=2) + "\n")
            run._sums.start([file_sum("suite.json", run.path / "suite.json")])
            run.append(sources)
            run.write_head(head)
        except OSError as error:
            raise RunError(f"cannot write runs into {root}: {error.strerror}; choose another folder with --out") from error
        return run

    @staticmethod
    def open(path: Path, trust: bool = False) -> RunFolder:
        """Open a run for reading. With `trust`, clips and links that lead out of it are followed, whoever made it.

        Raises RunError if the folder is not a run, its run.json is damaged or newer, or something in it leads out of it.
        """
        run = RunFolder(path, trust)
        run.head  # noqa: B018  (raises if run.json cannot be read)
        return run

    @property
    def name(self) -> str:
        """Name of the folder, as text that can be written."""
        return encodable(self.path.name)

    @property
    def trusted(self) -> bool:
        """Whether the run may lead out of its folder: this user made it on this machine, or says so."""
        return self.trust or is_own(self.path)

    @property
    def head(self) -> RunHead:
        """run.json, upgraded to the current schema. Raises RunError if it is missing, damaged or newer."""
        return self._read_head()[1]

    def _read_head(self) -> tuple[int, RunHead]:
        """The schema version that run.json is of, and run.json in the current one."""
        path = self.path / "run.json"
        self._check_links(clips=False)
        try:
            data = read_json(path)
            version = data.get("schema_version") if isinstance(data, dict) else None
            if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
                raise RunError(
                    f"{self.path}: schema version {version!r}, but this sora_eval reads 1 to {SCHEMA_VERSION}; use the version "
                    "that wrote it"
                )
            data = unsealed(data) if version >= SEALED_SINCE else data
            data.pop(SIGNATURE, None)
            return version, RunHead.model_validate_json(json.dumps(upgraded_head(data)))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{self.path} is not a run folder: it has no run.json; see 'sora-eval list runs'") from None
        except (OSError, ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path} is damaged: {explanation(error)}") from error

    def write_head(self, head: RunHead) -> None:
        """Write run.json whole, without secrets. A new run and an own one are signed; a stranger's stays one."""
        path = self.path / "run.json"
        data = redacted(head.model_dump(mode="json", exclude={"run"}), unchanged=_NO_SECRETS)
        if not path.exists() or is_own(self.path):
            data = signed(data, self.path)
        write_atomic(path, json.dumps(sealed(data), indent=2) + "\n")

    def update_head(self, **changes: Any) -> None:
        """Rewrite run.json with new values of some fields. Raises ValidationError for values that `RunHead` refuses."""
        self.write_head(RunHead.model_validate({**dict(self.head), **changes}))

    def finish(self, **changes: Any) -> None:
        """Record that the run succeeded and what every file of it holds: one that differs later is an error on reading."""
        files = {p.relative_to(self.path).as_posix(): file_digest(p) for p in self._checked_files()}
        self._sums.end()
        self.update_head(status="success", error="", finished=now(), files=files, **changes)

    def _checked_files(self) -> list[Path]:
        names = ["suite.json", *(f"{row.table}.jsonl" for row in TABLES)]
        paths = [self.path / name for name in names] + sorted((self.path / "features").glob("*.npz"))
        return [path for path in paths if path.exists()]

    def drop_damaged_features(self) -> None:
        """Delete vectors that cannot be read or are not those that were written; scoring makes them again."""
        for path in (self.path / "features").glob("*.npz"):
            try:
                self.load_features(path.stem)
            except RunError:
                path.unlink()

    def check_files(self, tables: Sequence[type[Row]] = TABLES) -> None:
        """Raises RunError unless suite.json and these tables can be read and are those that a finished run ended with."""
        stored_suite(self)
        for row in tables:
            self.rows(row)

    def repair(self, status: Status | None = None) -> None:
        """Prepare a run for writing: cut off torn rows, upgrade one of an older schema on disk, and give it a `status`.

        The status is that of the work that follows, until it ends: no reader takes half of its rows for all. Raises RunError.
        """
        self._check_links(clips=True)
        for row in TABLES:
            cut_torn_line(self._file(row))
        version, head = self._read_head()
        if version < SCHEMA_VERSION:
            suite = stored_suite(self).to_json()
            tables = [(row, self.rows(row)) for row in TABLES if self._file(row).exists()]
            for row, rows in tables:
                self.replace(row, rows)
                if row.table in FILES:
                    (self.path / f"{FILES[row.table]}.jsonl").unlink(missing_ok=True)
            write_atomic(self.path / "suite.json", json.dumps(suite, indent=2) + "\n")
        files = [p for p in self._checked_files() if p.suffix != ".jsonl"]
        sums = [file_sum(p.relative_to(self.path).as_posix(), p) for p in files]
        for path in (self._file(row) for row in TABLES):
            with suppress(ValueError):  # a table that is no text is an error on reading, if it is not made again
                sums += [row_sum(path.name, line) for line in whole_lines(path)]
        self._sums.start(sums)
        changes: dict[str, Any] = {"files": {}, "status": status or head.status}
        if version < SCHEMA_VERSION or any(getattr(head, key) != value for key, value in changes.items()):
            self.write_head(head.model_copy(update=changes))

    def _check_links(self, *, clips: bool) -> None:
        """Raises RunError for a link out of the folder, and what is no file, in a run that is not trusted."""
        entry = None if self.trust else foreign_entry(self.path, clips=clips)
        if entry is not None and (entry.name == "run.json" or not is_own(self.path)):
            raise RunError(
                f"{entry} leads out of the run folder or is no file, and the run was not made here by you; put a copy of the "
                "file in its place, or use --trust where the command has it"
            )

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows of one table in one write, flushed to the disk."""
        if rows:
            append_lines(self.path / f"{rows[0].table}.jsonl", self._lines(rows[0].table, rows))

    def replace(self, row: type[R], rows: Iterable[R]) -> None:
        """Replace a whole table."""
        write_atomic(self.path / f"{row.table}.jsonl", self._lines(row.table, rows))

    def _lines(self, table: str, rows: Iterable[Row]) -> str:
        """Rows as lines of JSON without secrets, whose sums are kept."""
        lines = redacted_lines("".join(row.model_dump_json() + "\n" for row in rows), unchanged=_NO_SECRETS)
        self._sums.add(row_sum(f"{table}.jsonl", line) for line in lines.split("\n")[:-1])
        return lines

    def rows(self, row: type[R]) -> list[R]:
        """All whole rows of a table; empty without the file. Raises RunError that names file, line and field."""
        version, head = self._read_head()
        path, adapter, rows, keys = self._file(row), TypeAdapter(row), list[R](), set[Any]()
        try:
            lines, sums = whole_lines(path), None if head.files else self._sums.all()
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged: {explanation(error)}") from error
        for number, line in enumerate(lines, 1):
            try:
                if sums is not None and row_sum(path.name, line) not in sums:
                    raise ValueError("it is not a row that was written")
                text = json.dumps(upgraded_row(row.table, parse_json(line))) if version == 1 else line
                rows.append(adapter.validate_json(text))
                key = tuple(getattr(rows[-1], name) for name in row.key) or (number,)
                if key in keys:
                    raise ValueError(f"a second row of {', '.join(map(repr, key))}")
                keys.add(key)
            except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(f"{path}:{number} is damaged: {explanation(error)}; delete the line and use --resume") from error
        self.check(path, head)
        return rows

    def check(self, path: Path, head: RunHead | None = None) -> None:
        """Raises RunError for a file that is not the one that a finished run ended with, or that one under way has written."""
        head = head or self.head
        name = path.relative_to(self.path).as_posix()
        if not head.files:
            self._check_sum(name, path)
            return
        if name not in head.files and not path.exists():
            return
        if name not in head.files:
            raise RunError(f"{path} is not of this run: it had none when it ended; remove the file")
        if not path.exists() or file_digest(path) != head.files[name]:
            fault = "is damaged: it is not the file that the run ended with" if path.exists() else "is missing"
            fix = "" if name in ("suite.json", "samples.jsonl") else f", or score the clips again: sora-eval score {self.path}"
            raise RunError(f"{path} {fault}; restore it{fix}")

    def _check_sum(self, name: str, path: Path) -> None:
        sums = self._sums.all() if path.suffix != ".jsonl" and path.exists() else None  # tables have a sum of each row
        if sums is not None and file_sum(name, path) not in sums:
            raise RunError(f"{path} is damaged: it is not the file that was written; restore it")

    def _file(self, row: type[Row]) -> Path:
        """File of a table; a run of schema 1 may have it under an older name."""
        path = self.path / f"{row.table}.jsonl"
        old = self.path / f"{FILES.get(row.table, row.table)}.jsonl"
        return old if old.exists() and not path.exists() else path

    def save_json(self, name: str, data: dict[str, Any]) -> Path:
        """Replace one record of the run, such as verdicts.json. Raises RunError if the folder cannot be written."""
        path = self.path / name
        try:
            write_atomic(path, json.dumps(redacted(data, unchanged=_NO_SECRETS), indent=2) + "\n")
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror}") from error
        return path

    def replace_suite(self, suite: Suite) -> None:
        """Replace suite.json of a run that is under way, then what run.json says of it: the latter never knows more."""
        path = self.path / "suite.json"
        with replacing(path) as partial:
            partial.write_text(json.dumps(suite.to_json(), indent=2) + "\n", encoding="utf-8")
            self._sums.add([file_sum(path.name, partial)])
        self.update_head(suite=suite_id(suite), changes=suite.changes)

    def clip_path(self, case_id: str) -> Path:
        """File of a case's clip, with unsafe characters of the id replaced; the prompt's text is never in a file name.

        >>> RunFolder(Path("runs/r")).clip_path("p1/40x24x17/0").as_posix()
        'runs/r/clips/p1_40x24x17_0.mkv'
        """
        return self.path / "clips" / f"{file_name(case_id)}.mkv"

    def clip_file(self, clip: str) -> Path:
        """The path of a row's clip. Raises RunError for one outside of the folder of a run that is not trusted."""
        path = self.path / clip
        if is_inside(self.path, path) or self.trusted:
            return path
        raise RunError(f"the clip {clip} lies outside of the run folder, and the run was not made here by you; see --trust")

    def _features_file(self, name: str) -> Path:
        try:
            return self.path / "features" / f"{check_name(name)}.npz"
        except ValueError as error:
            raise RunError(f"{self.path}: a metric has the name {name!r}; {error}") from error

    def save_features(self, name: str, ids: list[str], values: npt.NDArray[Any], **extra: npt.NDArray[Any]) -> None:
        """Write the vectors of a set, (n, D), with the case ids (n) of their rows and further columns."""
        columns = {key: without_secrets(value) for key, value in extra.items()}
        with replacing(self._features_file(name)) as partial, partial.open("wb") as file:
            np.savez(file, ids=np.array(ids, dtype=np.str_), values=values, **columns)  # type: ignore[arg-type]
            file.flush()
            self._sums.add([file_sum(f"features/{name}.npz", partial)])

    def load_features(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays of `save_features` by name (`ids`, `values`, further columns), sorted by case; empty without the file."""
        path = self._features_file(name)
        self.check(path)
        if not path.exists():
            return {}
        try:
            with ZipFile(path) as archive:  # stored as they are by `save_features`: a file cannot be larger inside
                if any(entry.compress_type != ZIP_STORED for entry in archive.infolist()):
                    raise ValueError("its arrays are compressed; expected them stored")
            with np.load(path, allow_pickle=False) as data:
                arrays = in_order(dict(data))
            if arrays["values"].dtype.kind != "f":
                raise ValueError(f"its vectors are {arrays['values'].dtype}")
        except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
            raise RunError(f"{path} is damaged: {explanation(error)}; score again: sora-eval score {self.path}") from error
        return arrays


def explanation(error: Exception) -> str:
    """The fault of a damaged record on one line: of a ValidationError the first field, the rule and the value found.

    >>> explanation(KeyError("id"))
    "KeyError: 'id'"
    """
    if not isinstance(error, ValidationError):
        return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"])) or "the row"
    return f"{place}: {problem['msg'][0].lower()}{problem['msg'][1:]}, found {str(problem['input'])[:60]!r}"


def stored_suite(folder: RunFolder) -> Suite:
    """The suite as it was when the run started. Raises RunError if suite.json cannot be read."""
    path = folder.path / "suite.json"
    folder.head  # noqa: B018  (raises for a folder that leads elsewhere)
    try:
        suite = Suite.from_json(read_json(path), path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {explanation(error)}") from error
    folder.check(path)
    return suite
