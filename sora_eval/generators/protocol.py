"""The generators under test, behind one small protocol, opened by a spec such as `reference:early`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sora_eval.records.capabilities import Capabilities as Capabilities  # noqa: PLC0414  (a word of the protocol)
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request


class Generator(Protocol):
    """A thing that makes clips. `batch` is how many requests it likes at once.

    An attribute `steps`, where there is one, says after how many training steps the checkpoint was taken.
    """

    name: str
    checkpoint: str
    batch: int
    capabilities: Capabilities

    def fingerprint(self) -> str:
        """Hash of weights and configuration: another value, another generator."""
        ...

    def generate(self, requests: Sequence[Request]) -> Sequence[Clip]:
        """One clip a request, in order. The same request gives the same clip, whatever stands beside it."""
        ...


@runtime_checkable
class BringsClips(Protocol):
    """A generator whose clips exist already, each with its own prompt and shape."""

    def cases(self) -> list[Case]:
        """What it brings."""
        ...

    def read(self, case: Case) -> Clip:
        """The clip of one of its cases. Raises ClipError."""
        ...

    def path(self, case: Case) -> Path:
        """Where its file lies."""
        ...


@runtime_checkable
class DamagesScenes(Generator, Protocol):
    """A generator that knows the truth behind its clips and can render another one."""

    def damaged(self, request: Request, corruption: str, strength: float, rng: np.random.Generator) -> Clip:
        """The answer to a request under a scene corruption of `corruptions`. Raises Undefined where it does not apply."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A generator that can say how many tokens its network sees for a clip."""

    def tokens(self, request: Request) -> int: ...


@runtime_checkable
class CountsFlops(Protocol):
    """A generator that can count the floating-point operations of a call, by stage; None where it cannot."""

    def flops(self, requests: Sequence[Request], packing: str) -> dict[str, int] | None: ...


@runtime_checkable
class ServesMixed(Protocol):
    """A generator with several ways to batch requests of mixed shapes. `serve` gives the clips of `generate`."""

    packings: tuple[str, ...]

    def serve(self, requests: Sequence[Request], packing: str) -> Sequence[Clip]: ...


@runtime_checkable
class SaysWhere(Protocol):
    """A generator that knows where it runs: device, provider (what really computes), threads, settings of its own."""

    @property
    def where(self) -> dict[str, Any]: ...


@runtime_checkable
class Synchronises(Protocol):
    """A generator on a device that works on after a call has returned; `synchronise` waits for it."""

    def synchronise(self) -> None: ...
