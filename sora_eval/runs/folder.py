"""The run folder: every file that a run leaves behind, written so that a kill at any moment loses nothing."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sora_eval.suite import Suite
from sora_eval.util.environment import git_state, hardware, software
from sora_eval.util.errors import RunError

SCHEMA_VERSION = 1
Table = Literal["samples", "scores", "floors", "metrics", "timings", "attribution"]
TABLES: tuple[Table, ...] = ("samples", "scores", "floors", "metrics", "timings", "attribution")


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_head(suite: Suite, generator: dict[str, Any], **more: Any) -> dict[str, Any]:
    """run.json of a run that starts now: of what, where and by which command. `more` are facts of its kind."""
    return {
        "status": "started",
        "partial": False,
        "limit": None,
        "suite": {"id": suite.suite.id, "version": suite.suite.version, "fingerprint": suite.fingerprint},
        "generator": generator,
        "git": git_state(),
        "hardware": hardware(),
        "software": software(),
        "started": now(),
        "finished": None,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **more,
    }


class RunFolder:
    """One run on disk. Rows are appended whole and flushed; a torn last line is cut off when the run is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def create(root: Path, head: dict[str, Any], suite: dict[str, Any]) -> RunFolder:
        """Make `root/<utc time>-<suffix>` with suite.json and, last, run.json: what has one can be resumed.

        Raises RunError if it cannot be written.
        """
        name = f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        run = RunFolder(root / name)
        try:
            (run.path / "clips").mkdir(parents=True)
            (run.path / "features").mkdir()
            _replace(run.path / "suite.json", json.dumps(suite, indent=2) + "\n")
        except OSError as error:
            raise RunError(f"cannot write runs into {root}: {error.strerror}; choose another folder with --out") from error
        run.write_head({"schema_version": SCHEMA_VERSION, **head})
        return run

    @staticmethod
    def open(path: Path) -> RunFolder:
        """Open a run for reading. Raises RunError when the folder is no run or of another schema."""
        run = RunFolder(path)
        found = run.head.get("schema_version")
        if found != SCHEMA_VERSION:
            raise RunError(
                f"{path}: schema version {found!r}, but this sora_eval reads {SCHEMA_VERSION}; use the version that wrote it"
            )
        return run

    @property
    def head(self) -> dict[str, Any]:
        """run.json."""
        path = self.path / "run.json"
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run folder: it has no run.json; see 'sora-eval list runs'") from None
        except json.JSONDecodeError as error:
            raise RunError(f"{path} is damaged: {error}") from error
        if not isinstance(data, dict):
            raise RunError(f"{path} is damaged: expected a table")
        return data

    def write_head(self, data: dict[str, Any]) -> None:
        _replace(self.path / "run.json", json.dumps(data, indent=2) + "\n")

    def update_head(self, **changes: Any) -> None:
        self.write_head({**self.head, **changes})

    def repair(self) -> None:
        """Cut off rows that a kill left unfinished."""
        for table in TABLES:
            path = self.path / f"{table}.jsonl"
            if path.exists():
                data = path.read_bytes()
                whole = data[: data.rfind(b"\n") + 1]
                if whole != data:
                    _replace(path, whole.decode())

    def append(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows in one write."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        with (self.path / f"{table}.jsonl").open("a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        """Write a whole table anew."""
        _replace(self.path / f"{table}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All whole rows of a table; none when it was never written."""
        path = self.path / f"{table}.jsonl"
        if not path.exists():
            return []
        out = []
        for number, line in enumerate(path.read_text().split("\n")[:-1], 1):
            try:
                out.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise RunError(f"{path}:{number} is damaged: {error}; delete the line and use --resume") from error
        return out

    def save_json(self, name: str, data: dict[str, Any]) -> Path:
        """Write one record of the run, such as verdicts.json, anew. Raises RunError if the folder cannot be written."""
        path = self.path / name
        try:
            _replace(path, json.dumps(data, indent=2) + "\n")
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


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(text)
    os.replace(partial, path)


def stored_suite(folder: RunFolder) -> Suite:
    """The suite as it was when the run started."""
    path = folder.path / "suite.json"
    try:
        return Suite.from_json(json.loads(path.read_text()), path)
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
