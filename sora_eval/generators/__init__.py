"""The generators under test, behind one small protocol, opened by a spec such as `reference:early`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError


@dataclass(frozen=True)
class Capabilities:
    """Which shapes a generator takes: sides are multiples of `side`, lengths are 1 + a multiple of `stride`."""

    side: int = 1
    stride: int = 1


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


@dataclass(frozen=True)
class GeneratorInfo:
    """One line of `sora-eval list generators`."""

    usage: str
    about: str
    target: str = field(repr=False)


GENERATORS: dict[str, GeneratorInfo] = {
    "reference": GeneratorInfo(
        "reference[:CHECKPOINT][?backend=torch&steps=10&guidance=2&refine=true&first_frames=1]",
        "the reference model; shipped: base, base-int8, middle, early",
        "reference:open_reference",
    ),
    "world": GeneratorInfo(
        "world", "the world itself: a perfect generator for prompts with facts (tracker floor)", "reference:open_world"
    ),
    "vae": GeneratorInfo("vae[:CHECKPOINT]", "the world through the reference VAE and back (VAE floor)", "reference:open_vae"),
    "folder": GeneratorInfo("folder:PATH", "real videos: a folder, or a manifest (csv, jsonl, parquet)", "folder:open_folder"),
    "diffusers": GeneratorInfo(
        "diffusers:ID[?device=cuda&dtype=bfloat16]",
        "a video pipeline of diffusers: a folder, or a name on the hub",
        "diffusers:open_diffusers",
    ),
    "python": GeneratorInfo(
        "python:MODULE:CALLABLE", "your function: request -> frames (T, H, W, 3) uint8", "python:open_python"
    ),
}


def open_generator(spec: str) -> Generator:
    """Open a generator by `KIND[:ARGUMENT][?key=value&...]`. Raises GeneratorError or WeightsError."""
    head, _, query = spec.partition("?")
    kind, _, argument = head.partition(":")
    if kind not in GENERATORS:
        usage = "; ".join(info.usage for info in GENERATORS.values())
        raise GeneratorError(f"generator {spec!r} is not known; expected one of: {usage}")
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise GeneratorError(f"generator {spec!r}: {pair!r} is not key=value")
        options[key] = value
    module, _, function = GENERATORS[kind].target.partition(":")
    opened: Generator = getattr(import_module(f"sora_eval.generators.{module}"), function)(argument, options)
    return opened


def with_device(spec: str, device: str | None) -> str:
    """The spec with `device=DEVICE` among its options; a generator that has no such option refuses it when opened."""
    return spec if device is None else f"{spec}{'&' if '?' in spec else '?'}device={device}"


def refuse_options(options: dict[str, str], known: Sequence[str], spec: str) -> None:
    """Raise GeneratorError for an option that this generator does not have: nothing is ignored in silence."""
    for key in options:
        if key not in known:
            raise GeneratorError(f"{spec}: option {key!r} is not known; known: {', '.join(known) or 'none'}")


def check_shape(request: Request, capabilities: Capabilities, name: str) -> None:
    """Raise GeneratorError naming the nearest valid values."""
    for problem in shape_problems([(request.width, request.height, request.num_frames)], capabilities):
        raise GeneratorError(f"{name}: {problem}")


def shape_problems(sizes: Sequence[tuple[int, int, int]], capabilities: Capabilities) -> Iterator[str]:
    """Why (width, height, frames) cannot be had, one sentence a value, without repeats."""
    told: set[tuple[str, int]] = set()
    for width, height, frames in sizes:
        values = (
            ("width", width, capabilities.side, 0),
            ("height", height, capabilities.side, 0),
            ("frames", frames, capabilities.stride, 1),
        )
        for name, value, step, offset in values:
            if (value - offset) % step == 0 or (name, value) in told:
                continue
            told.add((name, value))
            low = max((value - offset) // step, 1) * step + offset
            rule = f"{offset} + a multiple of {step}" if offset else f"a multiple of {step}"
            yield f"{name} = {value} is not {rule}; nearest valid: {low}, {low + step}"
