"""A checkpoint on disk: `checkpoint.json` names the ONNX file of each network, its sha256, and how they were made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from reference_model.errors import ReferenceModelError

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
RECORD, CONFIG = "checkpoint.json", "config.json"
MOST_BYTES = 1 << 22  # of each of these two
COMPONENTS = (
    "text_encoder",
    "dit",
    "vae_encoder",
    "vae_decoder",
    "caption_encoder",
    "caption_decoder",
    "refine_encoder",
    "refine_decoder",
)


class CheckpointError(ReferenceModelError):
    """A checkpoint that is missing, incomplete or damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """The file of each of `COMPONENTS`, how they were made, and their sha256, and that of config.json, where recorded."""

    folder: Path
    files: dict[str, Path]
    names: dict[str, str]
    made: dict[str, Any] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def training_steps(self) -> int | None:
        """Training steps of the DiT, where they are recorded."""
        steps = self.made.get("dit_steps_done")
        return steps if type(steps) is int else None

    @property
    def content_hash(self) -> str:
        """16 hex digits of what it computes with: the files of all components and config.json."""
        paths = [*self.files.values(), self.folder / CONFIG]
        return hashlib.sha256("".join(_digest(p, p.stat().st_mtime_ns) for p in paths).encode()).hexdigest()[:16]

    @property
    def weights_hash(self) -> str:
        """The `content_hash` of the checkpoint whose weights these are, in other graphs, another precision or as they are."""
        return str(self.made.get("weights_of") or self.made.get("quantized_from") or self.content_hash)

    def check(self, name: str, path: Path) -> None:
        """Raises CheckpointError for a file that is not the one that was exported; an older checkpoint records none."""
        expected = self.sha256.get(name)
        if expected is not None and _digest(path, path.stat().st_mtime_ns) != expected:
            raise CheckpointError(
                f"{path} is not the file that was exported: restore it, export it again, or "
                f"where the change is meant take {name!r} out of 'sha256' in {self.folder / RECORD}"
            )

    def checked(self, component: str) -> Path:
        """The file of a component. Raises CheckpointError as `check` does."""
        self.check(component, self.files[component])
        return self.files[component]


@cache
def _digest(path: Path, changed: int) -> str:
    """sha256 of a file, once for each time it `changed`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shipped() -> list[str]:
    """Names of the checkpoints in the package, sorted."""
    return sorted(p.parent.name for p in CHECKPOINTS.glob(f"*/{RECORD}"))


def resolve(checkpoint: str) -> Path:
    """The folder of a shipped name or of a path. Raises CheckpointError for neither."""
    for folder in (CHECKPOINTS / checkpoint, Path(checkpoint)):
        if _is_file(folder / RECORD):
            return folder
    raise CheckpointError(
        f"checkpoint {checkpoint!r} is neither shipped nor a folder with a checkpoint.json; shipped: "
        f"{', '.join(shipped()) or 'none'}; make one with 'python -m reference_model export'"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a path, or a null byte in it
        return False


def read_checkpoint(folder: Path) -> Checkpoint:
    """The record of a checkpoint's folder; all its files exist. Raises CheckpointError."""
    path = folder / RECORD
    record = _table(path)
    names = record.get("components")
    if not isinstance(names, dict) or not all(isinstance(names.get(name), str) and names[name] for name in COMPONENTS):
        raise CheckpointError(f"{path} should name the files of {', '.join(COMPONENTS)} under 'components'")
    made, sha256 = record.get("made", {}), record.get("sha256", {})
    if not isinstance(made, dict) or not isinstance(sha256, dict):
        raise CheckpointError(f"{path}: 'made' and 'sha256' should be tables")
    if unknown := sorted(set(record) - {"components", "made", "sha256"}):
        raise CheckpointError(f"{path}: unknown key {unknown[0]!r}; known keys: components, made, sha256")
    files = {}
    for name in COMPONENTS:
        file = folder / names[name]
        if not _is_file(file):
            raise CheckpointError(
                f"{name} of checkpoint {folder.name!r} is missing: {file} does not exist; export it again or restore the file"
            )
        files[name] = file.resolve()
    return Checkpoint(folder, files, names, made, sha256)


def _table(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes")
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(record, dict):
        raise CheckpointError(f"{path} is a {type(record).__name__}; expected a table with 'components'")
    return record


def component_files(folder: Path) -> dict[str, Path]:
    """The ONNX file of each of `COMPONENTS`; checkpoints of one training share their VAE. Raises CheckpointError."""
    return read_checkpoint(folder).files


def write_record(folder: Path, names: Mapping[str, str], made: Mapping[str, Any]) -> None:
    """Write checkpoint.json beside config.json: the file of each component, how they were made, and the sha256 of all."""
    paths = {CONFIG: folder / CONFIG, **{name: folder / names[name] for name in COMPONENTS}}
    sha256 = {name: _digest(path, path.stat().st_mtime_ns) for name, path in paths.items()}
    record = {"components": dict(names), "sha256": sha256, "made": dict(made)}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
