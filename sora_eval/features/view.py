"""The protocol of extractors, their cache, and a view of one clip on which every extractor runs at most once.

An extractor may bring more, to share work or to run beside others: `parts` and `shares` (`features.parts`), and, of a network
that takes several clips at a time, `prepare` (its input of one clip) and `of_prepared` (the values of inputs of one shape).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sora_eval.features.device import CPU, device
from sora_eval.features.parts import Frames, Pass
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

    def get(self, clip: Clip, extractor: Extractor, make: Callable[[], Array] | None = None) -> Array:
        """The features of a clip, from disk where they are cached, else those of `make` (of the extractor, left out).

        Raises Undefined like the extractor.
        """
        make = make or (lambda: extractor(clip))
        return self.keep(_key(clip, extractor), make) if extractor.cached else make()

    def has(self, clip: Clip, extractor: Extractor) -> bool:
        """Whether there is an entry; a damaged one is computed again when it is read."""
        if not extractor.cached:
            return False
        key = _key(clip, extractor)
        return key in shipped_features() or self._path(key).is_file()

    def keep(self, key: str, make: Callable[[], Array]) -> Array:
        """The value of a key, a hash of all that the value depends on: shipped, cached, or else computed by `make`.

        A damaged entry is made again; a folder that cannot be written is said once, and the value is computed without it.
        """
        if (value := shipped_features().get(key)) is not None:
            return value
        path = self._path(key)
        value = _read(path)
        if value is None:
            value = make()
            try:
                with publishing(path) as partial, partial.open("wb") as file:
                    np.savez(file, value=value)
            except OSError as error:
                warn_once(f"the cache {self.folder} is not used: {error.strerror or error}; features are computed again")
        return value

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"


def _key(clip: Clip, extractor: Extractor) -> str:
    kind = device().partition(":")[0]  # another kind of device has other last digits
    parts = [clip.sha256, str(clip.fps), extractor.signature, *([kind] if kind != CPU else [])]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


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
        self._values: dict[str, Array | Undefined | Pass] = {}
        self._prepared: dict[str, Future[Any]] = {}
        self._windows: dict[tuple[int, int], ClipView] = {}
        self._frames = Frames(clip)

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

    def expect(
        self, extractors: Iterable[Extractor], threads: Executor | None = None, preparing: Executor | None = None
    ) -> None:
        """What will be asked for: extractors that share their work are computed in one pass.

        Passes that run no network begin in `threads`, and the inputs of networks are made in those of `preparing`.
        """
        groups: dict[str, dict[str, Any]] = {}
        for extractor in extractors:
            beside = getattr(extractor, "beside_networks", False)
            if not (beside or hasattr(extractor, "shares") or hasattr(extractor, "prepare")):
                continue  # a user's may have no more than a call
            if extractor.signature in self._values or self._has(extractor):
                continue
            if preparing is not None and hasattr(extractor, "prepare") and extractor.signature not in self._prepared:
                self._prepared[extractor.signature] = preparing.submit(extractor.prepare, self.clip)
            if beside or hasattr(extractor, "shares"):
                groups.setdefault(getattr(extractor, "shares", extractor.signature), {})[extractor.signature] = extractor
        for group in groups.values():
            together = Pass(list(group.values()), self.clip, self._frames)
            if threads is not None and together.extractors[0].beside_networks:
                together.begin(threads)
            self._values.update(dict.fromkeys(group, together))

    def prepared(self, extractor: Any) -> Any:
        """The input of an extractor's network, from the thread in which it began, else made here.

        None where the value is there. Raises Undefined where the protocol does not cover the clip.
        """
        if extractor.signature in self._values or self._has(extractor):
            return None
        begun = self._prepared.get(extractor.signature)
        return extractor.prepare(self.clip) if begun is None else begun.result()

    def add(self, extractor: Extractor, value: Array | Undefined) -> None:
        """Take in the value of an extractor, which is cached where it is worth it."""
        self._prepared.pop(extractor.signature, None)
        if isinstance(value, np.ndarray) and self._cache is not None:
            made = value
            value = self._cache.get(self.clip, extractor, lambda: made)
        self._values[extractor.signature] = value

    def features(self, extractor: Extractor) -> Array:
        """The value of an extractor on this clip. Raises Undefined like the extractor itself."""
        begun = self._values.get(extractor.signature)
        if isinstance(begun, Pass):
            for each, its in zip(begun.extractors, begun.values(), strict=True):
                self.add(each, its)
        elif begun is None:
            try:
                self._values[extractor.signature] = self._compute(extractor)
            except Undefined as reason:
                self._values[extractor.signature] = reason
        value = self._values[extractor.signature]
        if isinstance(value, Undefined):
            raise value
        assert not isinstance(value, Pass)
        return value

    def _has(self, extractor: Extractor) -> bool:
        return self._cache is not None and self._cache.has(self.clip, extractor)

    def _compute(self, extractor: Extractor) -> Array:
        begun = self._prepared.pop(extractor.signature, None)

        def make() -> Array:
            made: Array
            if begun is None:
                made = extractor(self.clip)
            else:
                (made,) = extractor.of_prepared([begun.result()])  # type: ignore[attr-defined]
            return made

        return make() if self._cache is None else self._cache.get(self.clip, extractor, make)


def compute_together(extractor: Any, views: Sequence[ClipView]) -> None:
    """Compute the values of several clips that are not there yet; inputs of one shape go through the network together."""
    by_shape: dict[tuple[int, ...], list[tuple[ClipView, Any]]] = {}
    for view in views:
        try:
            prepared = view.prepared(extractor)
        except Undefined as reason:
            view.add(extractor, reason)
            continue
        if prepared is not None:
            by_shape.setdefault(tuple(prepared.shape), []).append((view, prepared))
    for pairs in by_shape.values():
        for (view, _), value in zip(pairs, _values(extractor, [prepared for _, prepared in pairs]), strict=True):
            view.add(extractor, value)


def _values(extractor: Any, prepared: Sequence[Any]) -> Sequence[Array | Undefined]:
    try:
        return list(extractor.of_prepared(prepared))
    except Undefined as reason:  # of any of them
        if len(prepared) == 1:
            return [reason]
        return [value for each in prepared for value in _values(extractor, [each])]
