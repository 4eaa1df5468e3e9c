"""Which shapes and rates a generator can make, and the message for the others; with `settings` the check of a suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sora_eval.generators.settings import beginning_problems, setting_problems
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.request import Request
from sora_eval.suite import Suite
from sora_eval.util.errors import GeneratorError, SuiteError


def check_suite(suite: Suite, capabilities: Capabilities, name: str) -> None:
    """Raises SuiteError for what the generator `name` cannot make of a suite, a line each: shapes, with the nearest valid ones,
    rates, settings that it does not read, and first frames."""
    problems = [*_form_problems(suite, capabilities, name)]
    problems += [*setting_problems(suite, capabilities, name), *beginning_problems(suite, capabilities, name)]
    _raise(suite, problems)


def check_shapes(suite: Suite, capabilities: Capabilities, name: str) -> None:
    """Raises SuiteError for shapes and rates of a suite alone: what renders a reference set reads no settings."""
    _raise(suite, [*_form_problems(suite, capabilities, name)])


def _form_problems(suite: Suite, capabilities: Capabilities, name: str) -> Iterator[str]:
    if suite.axes is not None:
        sizes = [(c.width or 0, c.height or 0, c.num_frames or 0) for c in suite.cases]
        yield from (f"[axes].{p}" for p in shape_problems(sizes, capabilities))
        yield from (f"[axes].{p}" for p in rate_problems(suite.axes.fps, capabilities, name))
    if suite.throughput is not None:
        yield from (f"[throughput].{p}" for p in shape_problems(suite.throughput.sizes, capabilities))
        yield from (f"[throughput].{p}" for p in rate_problems(suite.throughput.fps, capabilities, name))


def _raise(suite: Suite, problems: Sequence[str]) -> None:
    if problems:
        raise SuiteError("\n".join(f"{suite.path}: {p}" for p in problems))


def check_shape(request: Request, capabilities: Capabilities, name: str) -> None:
    """Raises GeneratorError with the nearest valid values for a request that the generator `name` cannot make."""
    for problem in shape_problems([(request.width, request.height, request.num_frames)], capabilities):
        raise GeneratorError(f"{name}: {problem}")


def rate_problems(fps: float, capabilities: Capabilities, name: str) -> Iterator[str]:
    """Why a rate cannot be generated.

    >>> list(rate_problems(24.0, Capabilities(fps=8.0), "world"))
    ['fps = 24; clips of world have 8, so say fps = 8']
    """
    if not capabilities.has_rate(fps):
        yield f"fps = {fps:g}; clips of {name} have {capabilities.fps:g}, so say fps = {capabilities.fps:g}"


def shape_problems(sizes: Sequence[tuple[int, int, int]], capabilities: Capabilities) -> Iterator[str]:
    """Why (width, height, frames) cannot be generated: one sentence per value, without repeats.

    >>> list(shape_problems([(32, 32, 16)], Capabilities(side=8, stride=4)))
    ['frames = 16 is not 1 + a multiple of 4; nearest valid: 13, 17']
    >>> list(shape_problems([(32, 32, 40)], Capabilities(offset=0, most_frames=32)))
    ['frames = 40 is more than 32, the most that it makes']
    """
    reported: set[tuple[str, int]] = set()
    if capabilities.sizes:
        for size in dict.fromkeys((width, height) for width, height, _ in sizes):
            if size not in capabilities.sizes:
                nearest = sorted(capabilities.sizes, key=lambda s: abs(s[0] - size[0]) + abs(s[1] - size[1]))[:2]
                names = ", ".join(f"{width}x{height}" for width, height in nearest)
                yield f"shape = {size[0]}x{size[1]} is not one that it makes; nearest valid: {names}"
    for width, height, frames in sizes:
        values = (
            ("width", width, capabilities.side, 0),
            ("height", height, capabilities.side, 0),
            ("frames", frames, capabilities.stride, capabilities.offset),
        )
        for name, value, step, offset in values:
            most = capabilities.most_frames if name == "frames" else None
            if (name, value) in reported or ((value - offset) % step == 0 and value <= (most or value)):
                continue
            reported.add((name, value))
            if most is not None and value > most:
                yield f"{name} = {value} is more than {most}, the most that it makes"
                continue
            low = max((value - offset) // step, 1) * step + offset
            rule = f"{offset} + a multiple of {step}" if offset else f"a multiple of {step}"
            valid = [v for v in (low, low + step) if v <= (most or v)]
            yield f"{name} = {value} is not {rule}; nearest valid: {', '.join(map(str, valid))}"
