"""Opens a generator by its spec, such as `reference:early?steps=10`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from sora_eval.generators.protocol import Generator
from sora_eval.registry.generators import GENERATORS
from sora_eval.util.errors import GeneratorError


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
