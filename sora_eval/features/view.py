"""The protocol of extractors, their cache, and a view of one clip on which every extractor runs at most once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined
from sora_eval.util.weights import cache_folder

Array = npt.NDArray[Any]


class Extractor(Protocol):
    """A pure function of a clip's frames. `signature` names protocol and weights; equal signatures mean equal values."""

    signature: str
    cached: bool  # worth keeping on disk

    def __call__(self, clip: Clip) -> Array:
        """Features of one clip. Raises Undefined where the protocol does not cover the clip."""
        ...


class FeatureCache:
    """Features on disk by a hash of frames, rate and signature (protocol and weights)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "features"

    def get(self, clip: Clip, extractor: Extractor) -> Array:
        """The features of a clip, from disk where they are cached. Raises Undefined like the extractor."""
        if not extractor.cached:
            return extractor(clip)
        key = hashlib.sha256(f"{clip.sha256}|{clip.fps}|{extractor.signature}".encode()).hexdigest()
        return self.keep(key, lambda: extractor(clip))

    def keep(self, key: str, make: Callable[[], Array]) -> Array:
        """The value of a key, a hash of all that the value depends on; `make` computes it where it is not cached."""
        path = self.folder / key[:2] / f"{key}.npy"
        if path.exists():
            try:
                value: Array = np.load(path, allow_pickle=False)
                return value
            except (ValueError, EOFError, OSError):
                path.unlink(missing_ok=True)  # torn by a full disk: it is computed again
        value = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.save(file, value, allow_pickle=False)
        os.replace(file.name, path)
        return value


class ClipView:
    """A decoded clip with its case, from which metrics read features; each is computed once."""

    def __init__(self, clip: Clip, case: Case, cache: FeatureCache | None = None) -> None:
        self.clip, self.case, self._cache = clip, case, cache
        self._values: dict[str, Array | Undefined] = {}

    def features(self, extractor: Extractor) -> Array:
        """The value of an extractor on this clip. Raises Undefined like the extractor itself."""
        value = self._values.get(extractor.signature)
        if value is None:
            try:
                value = extractor(self.clip) if self._cache is None else self._cache.get(self.clip, extractor)
            except Undefined as reason:
                value = reason
            self._values[extractor.signature] = value
        if isinstance(value, Undefined):
            raise value
        return value
