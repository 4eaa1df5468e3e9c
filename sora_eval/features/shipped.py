"""Features of the reference sets of shipped suites, in a file that ships with them.

The file is looked up by content, as a cache is: frames, rate, protocol and weights. A reference clip that a machine renders
otherwise is not in it, and is computed. `python -m docs.pages.reference_features` writes it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.suite.loading import shipped_folder

FILE = shipped_folder() / "reference_features.npz"

Array = npt.NDArray[Any]


@cache
def shipped_features() -> dict[str, Array]:
    """Vectors (D,) by their key in `features.view.FeatureCache`; empty without the file."""
    file = _read()
    return dict(zip(file["keys"].tolist(), file["values"], strict=True)) if file else {}


def unlike_shipped(fingerprint: str, clips: set[str]) -> int:
    """How many of the reference clips (hashes of frames) of a suite are not those whose features ship; 0 of other suites."""
    file = _read()
    if not file or fingerprint not in file["suites"].tolist():
        return 0
    return len(clips - set(file["clips"].tolist()))


def write(path: Path, features: dict[str, Array], clips: set[str], suites: set[str]) -> None:
    """Write vectors by key, the hashes of their clips, and the fingerprints of the suites that they are of."""
    keys = sorted(features)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            keys=np.array(keys, np.str_),
            values=np.stack([features[k] for k in keys]).astype(np.float32),
            clips=np.array(sorted(clips), np.str_),
            suites=np.array(sorted(suites), np.str_),
        )


@cache
def _read() -> dict[str, Array]:
    if not FILE.is_file():
        return {}
    with np.load(FILE, allow_pickle=False) as file:
        return dict(file)
