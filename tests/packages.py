"""Installed packages for tests: only their metadata, in a folder that a test puts on `sys.path`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, package: str, entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """Metadata of `NAME-VERSION` with entry points, as `group -> name -> target`."""
    name, _, version = package.rpartition("-")
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in entry_points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
