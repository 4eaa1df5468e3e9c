"""Opens a generator by its spec, such as `reference:early?steps=10`, and checks a spec without loading what it names."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sora_eval.registry.generators import GENERATORS, GeneratorInfo
from sora_eval.util.errors import GeneratorError

if TYPE_CHECKING:
    from sora_eval.generators.protocol import Generator


@dataclass(frozen=True)
class Spec:
    """The parts of a spec: `KIND[:ARGUMENT][?key=value&...]`."""

    info: GeneratorInfo
    argument: str
    options: dict[str, str]


def read_spec(spec: str) -> Spec:
    """The parts of a spec, checked without loading a generator.

    Raises GeneratorError for an unknown kind or option, and for values that the kind can reject without opening anything.
    """
    head, _, query = spec.partition("?")
    kind, _, argument = head.partition(":")
    if kind not in GENERATORS:
        usage = "; ".join(info.usage for info in GENERATORS.values())
        raise GeneratorError(f"generator {spec!r} is not known; expected one of: {usage}")
    info = GENERATORS[kind]
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise GeneratorError(f"generator {spec!r}: {pair!r} is not key=value")
        if key not in info.options:
            raise GeneratorError(f"{head}: option {key!r} is not known; known: {', '.join(info.options) or 'none'}")
        options[key] = value
    if info.check:
        _load(info.check)(argument, options)
    return Spec(info, argument, options)


def open_generator(spec: str) -> Generator:
    """Open a generator by `KIND[:ARGUMENT][?key=value&...]`. Raises GeneratorError or WeightsError."""
    parts = read_spec(spec)
    generator: Generator = _load(parts.info.target)(parts.argument, parts.options)
    return generator


def _load(target: str) -> Any:
    module, _, function = target.partition(":")
    return getattr(import_module(f"sora_eval.generators.{module}"), function)


def with_device(spec: str, device: str | None) -> str:
    """The spec with `device=DEVICE` among its options; a generator that has no such option refuses it."""
    return spec if device is None else f"{spec}{'&' if '?' in spec else '?'}device={device}"
