"""Opens a generator by its spec, such as `reference:early?steps=10`, and checks a spec without loading what it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sora_eval.registry.generators import GENERATORS, GeneratorInfo
from sora_eval.registry.spec import split_spec
from sora_eval.registry.targets import load_target
from sora_eval.util.errors import GeneratorError, RegistryError
from sora_eval.util.redaction import given_again, remember
from sora_eval.util.user_code import UserCodeError, user_code
from sora_eval.util.visible import is_unicode

if TYPE_CHECKING:
    from sora_eval.generators.protocol import Generator

KIND, ARGUMENT = ":kind", ":argument"  # beside the options of a spec


@dataclass(frozen=True)
class Spec:
    """The parts of a spec: `KIND[:ARGUMENT][?key=value&...]`."""

    kind: str
    info: GeneratorInfo
    argument: str
    options: dict[str, str]


def read_spec(spec: str) -> Spec:
    """The parts of a spec, checked without loading a generator.

    Raises GeneratorError for an unknown kind or option, and for values that the kind can reject without opening anything.
    """
    if not is_unicode(spec):
        raise GeneratorError(f"generator {spec!r} is not UTF-8, so no run can record it; rename the file or folder")
    parts = parts_of(spec)
    kind = parts.pop(KIND)
    remember(parts)
    parts = given_again(parts, spec, GeneratorError)
    argument, options = parts.pop(ARGUMENT), parts
    head = f"{kind}:{argument}" if argument else kind
    if kind not in GENERATORS:
        raise GeneratorError(f"generator {spec!r} is not known; expected one of: {'; '.join(_usages())}{_hint(kind)}")
    info = _info(kind)
    for key in options:
        if key not in info.options and not info.free:
            raise GeneratorError(f"{head}: option {key!r} is not known; known: {', '.join(info.options) or 'none'}")
    if info.check:
        load_target(info.check)(argument, options)
    return Spec(kind, info, argument, options)


def parts_of(spec: str) -> dict[str, str]:
    """Kind, argument and options of a spec, unchecked, in one table. Raises GeneratorError for a part that is not key=value."""
    head, options = split_spec(spec, "generator", GeneratorError)
    kind, _, argument = head.partition(":")
    return {**options, KIND: kind, ARGUMENT: argument}


def facts_problem(spec: str, facts: dict[str, Any]) -> str:
    """Why a generator that renders facts cannot read those of a prompt, or ''; other kinds, and unknown ones, read none."""
    info = GENERATORS.built_in.get(spec.partition("?")[0].partition(":")[0])
    if info is None or not info.facts:
        return ""
    try:
        load_target(info.facts)(facts)
    except GeneratorError as error:
        return str(error)
    return ""


def open_generator(spec: str) -> Generator:
    """Open a generator by `KIND[:ARGUMENT][?key=value&...]`. Raises GeneratorError or WeightsError."""
    from sora_eval.generators.identity import check_declarations

    parts = read_spec(spec)
    opener = GENERATORS.load(parts.kind)
    if parts.kind in GENERATORS.built_in:
        generator: Generator = opener(parts.argument, parts.options)
    else:
        generator = _open_of_package(spec, partial(opener, parts.argument, parts.options))
    check_declarations(generator, spec)
    return generator


def _open_of_package(spec: str, opener: Callable[[], object]) -> Generator:
    """The generator of another package's opener. Raises GeneratorError for any exception and any other type."""
    from sora_eval.generators.protocol import Generator

    try:
        with user_code():
            generator = opener()
    except UserCodeError as error:
        raise GeneratorError(f"{spec} cannot be opened: {error}") from error
    if not isinstance(generator, Generator):
        expected = "a Generator of sora_eval.generators.protocol"
        raise GeneratorError(f"{spec}: its opener returned a {type(generator).__name__}, expected {expected}")
    return generator


def _info(kind: str) -> GeneratorInfo:
    try:
        return GENERATORS.info(kind)
    except RegistryError as error:
        raise GeneratorError(str(error)) from error


def _usages() -> list[str]:
    return [*(info.usage for info in GENERATORS.built_in.values()), *GENERATORS.third_party()]


def _hint(kind: str) -> str:
    if Path(kind).exists():
        return f"; it is a file or folder: say folder:{kind} for its clips, or diffusers:{kind} for a pipeline"
    close = get_close_matches(kind, [*GENERATORS.built_in, *GENERATORS.third_party()], 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def specs_of(spec: str) -> list[str]:
    """The spec of each generator that a spec holds: itself, or one per training step of a folder of training outputs.

    Raises GeneratorError as `read_spec` does.
    """
    parts = read_spec(spec)
    options = load_target(parts.info.several)(parts.argument, parts.options) if parts.info.several else []
    return [with_option(spec, option) for option in options] or [spec]


def with_option(spec: str, option: str) -> str:
    """The spec with one more `key=value`; a generator without that option rejects it.

    >>> with_option("folder:clips", "damaged=note")
    'folder:clips?damaged=note'
    """
    return f"{spec}{'&' if '?' in spec else '?'}{option}"


def with_device(spec: str, device: str | None) -> str:
    """The spec with `device=DEVICE` among its options; a generator without that option rejects it.

    >>> with_device("reference:base?steps=10", "cuda")
    'reference:base?steps=10&device=cuda'
    """
    return spec if device is None else with_option(spec, f"device={device}")


def on_device(spec: str, device: str | None) -> str:
    """The same for a generator that can choose its device and whose spec leaves it open; others stay as they are.

    >>> on_device("reference", "cuda"), on_device("reference?device=cpu", "cuda"), on_device("folder:clips", "cuda")
    ('reference?device=cuda', 'reference?device=cpu', 'folder:clips')
    """
    parts = parts_of(spec)
    info = GENERATORS.built_in.get(parts[KIND])
    return with_device(spec, device) if info and "device" in info.options and "device" not in parts else spec
