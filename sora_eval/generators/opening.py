"""Opens a generator by its spec, such as `reference:early?steps=10`, and refuses a spec without loading what it names."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sora_eval.registry.generators import GENERATORS, GeneratorInfo
from sora_eval.registry.spec import split_spec
from sora_eval.util.errors import GeneratorError

if TYPE_CHECKING:
    from sora_eval.generators.protocol import Generator


@dataclass(frozen=True)
class Spec:
    """A spec taken apart: `KIND[:ARGUMENT][?key=value&...]`."""

    info: GeneratorInfo
    argument: str
    options: dict[str, str]


def read_spec(spec: str) -> Spec:
    """The parts of a spec, checked without loading a generator.

    Raises GeneratorError for a kind or an option that is not known, and for what the kind can refuse by its words alone.
    """
    head, options = split_spec(spec, "generator", GeneratorError)
    kind, _, argument = head.partition(":")
    if kind not in GENERATORS:
        usage = "; ".join(info.usage for info in GENERATORS.values())
        raise GeneratorError(f"generator {spec!r} is not known; expected one of: {usage}")
    info = GENERATORS[kind]
    for key in options:
        if key not in info.options:
            raise GeneratorError(f"{head}: option {key!r} is not known; known: {', '.join(info.options) or 'none'}")
    if info.check:
        _load(info.check)(argument, options)
    return Spec(info, argument, options)


def open_generator(spec: str) -> Generator:
    """Open a generator by `KIND[:ARGUMENT][?key=value&...]`. Raises GeneratorError or WeightsError."""
    asked = read_spec(spec)
    opened: Generator = _load(asked.info.target)(asked.argument, asked.options)
    return opened


def _load(target: str) -> Any:
    module, _, function = target.partition(":")
    return getattr(import_module(f"sora_eval.generators.{module}"), function)


def with_device(spec: str, device: str | None) -> str:
    """The spec with `device=DEVICE` among its options; a generator that has no such option refuses it."""
    return spec if device is None else f"{spec}{'&' if '?' in spec else '?'}device={device}"
