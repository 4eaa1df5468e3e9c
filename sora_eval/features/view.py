"""The protocol of extractors, their cache, and a view of one clip on which every extractor runs at most once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sora_eval.features.device import CPU, device
from sora_eval.features.shipped import shipped_features
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.cache import publishing, warn_once
from sora_eval.util.errors import SoraEvalError, Undefined
from sora_eval.util.weights import cache_folder

Array = npt.NDArray[Any]


class Extractor(Protocol):
    """A pure function of a clip's frames. `signature` names protocol and weights; equal signatures mean equal values.

    One with a true `beside_networks` runs none, and is computed in a thread while networks run.
    """

    signature: str
    cached: bool  # worth keeping on disk

    def __call__(self, clip: Clip) -> Array:
        """Features of one clip. Raises Undefined where the protocol does not cover the clip."""
        ...


class FeatureCache:
    """Features on disk by a hash of frames, rate, signature (protocol and weights) and kind of
    device. An entry has a checksum (zip's)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "features"

    def get(self, clip: Clip, extractor: Extractor) -> Array:
        """The features of a clip, from disk where they are cached. Raises Undefined like the extractor."""
        if not extractor.cached:
            return extractor(clip)
        kind = device().partition(":")[0]  # another kind of device has other last digits
        parts = [clip.sha256, str(clip.fps), extractor.signature, *([kind] if kind != CPU else [])]
        key = hashlib.sha256("|".join(parts).encode()).hexdigest()
        return self.keep(key, lambda: extractor(clip))

    def keep(self, key: str, make: Callable[[], Array]) -> Array:
        """The value of a key, a hash of all that the value depends on: shipped, cached, or else computed by `make`.

        A damaged entry is made again; a folder that cannot be written is said once, and the value is computed without it.
        """
        if (value := shipped_features().get(key)) is not None:
            return value
        path = self.folder / key[:2] / f"{key}.npz"
        value = _read(path)
        if value is None:
            value = make()
            try:
                with publishing(path) as partial, partial.open("wb") as file:
                    np.savez(file, value=value)
            except OSError as error:
                warn_once(f"the cache {self.folder} is not used: {error.strerror or error}; features are computed again")
        return value


def _read(path: Path) -> Array | None:
    """The value of an entry; None without one that can be read."""
    try:
        with np.load(path, allow_pickle=False) as entry:
            value: Array = entry["value"]
            return value
    except Exception:  # no entry, or a damaged one, for which numpy and zipfile raise many kinds
        return None


class ClipView:
    """A decoded clip with its case, from which metrics read features; each is computed once.

    `real` marks a clip of the reference set: some protocols read generated and real clips in two ways. `request`
    makes what the clip answers, where that is known; it is asked when a metric wants to know.
    """

    def __init__(
        self,
        clip: Clip,
        case: Case,
        cache: FeatureCache | None = None,
        *,
        real: bool = False,
        request: Callable[[], Request] | None = None,
    ) -> None:
        self.clip, self.case, self.real, self._request, self._cache = clip, case, real, request, cache
        self._values: dict[str, Array | Undefined | Future[Array]] = {}
        self._windows: dict[tuple[int, int], ClipView] = {}

    @cached_property
    def request(self) -> Request | None:
        """What the clip answers; None where it is not known. Raises Undefined where its first frames can no longer be read."""
        try:
            return None if self._request is None else self._request()
        except SoraEvalError as error:
            raise Undefined(f"the given first frames are not known: {error}") from error

    @property
    def given(self) -> npt.NDArray[np.uint8] | None:
        """The frames (n, H, W, 3) that the clip was to begin with; None where it was given none. Raises as `request`."""
        return None if self.request is None else self.request.first_frames

    def window(self, start: int, frames: int) -> ClipView:
        """A view of this many consecutive frames from `start`, all of them if there are no more; made once."""
        if frames >= self.clip.num_frames:
            return self
        key = start, frames
        if key not in self._windows:
            part = Clip(self.clip.frames[start : start + frames], self.clip.fps)
            self._windows[key] = ClipView(part, self.case, self._cache, real=self.real)
        return self._windows[key]

    def of_reference(self) -> ClipView:
        """The same clip as one of the reference set."""
        return self if self.real else ClipView(self.clip, self.case, self._cache, real=True)

    def begin(self, extractor: Extractor, threads: Executor) -> None:
        """Compute the value of an extractor in a thread; `features` waits for it. For extractors that run no network."""
        if extractor.signature not in self._values:
            self._values[extractor.signature] = threads.submit(self._compute, extractor)

    def _compute(self, extractor: Extractor) -> Array:
        return extractor(self.clip) if self._cache is None else self._cache.get(self.clip, extractor)

    def features(self, extractor: Extractor) -> Array:
        """The value of an extractor on this clip. Raises Undefined like the extractor itself."""
        value = self._values.get(extractor.signature)
        if value is None or isinstance(value, Future):
            try:
                value = self._compute(extractor) if value is None else value.result()
            except Undefined as reason:
                value = reason
            self._values[extractor.signature] = value
        if isinstance(value, Undefined):
            raise value
        return value
