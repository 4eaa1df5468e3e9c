"""Which shapes and rates a generator can make, and the message for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sora_eval.records.capabilities import Capabilities
from sora_eval.records.request import Request
from sora_eval.suite import Suite
from sora_eval.util.errors import GeneratorError, SuiteError


def check_suite(suite: Suite, capabilities: Capabilities) -> None:
    """Raises SuiteError for shapes of a suite that a generator cannot make, one line each, with the nearest valid ones."""
    problems = []
    if suite.axes is not None:
        sizes = [(c.width or 0, c.height or 0, c.num_frames or 0) for c in suite.cases]
        problems += [f"[axes].{p}" for p in shape_problems(sizes, capabilities)]
        problems += [f"[axes].{p}" for p in rate_problems(suite.axes.fps, capabilities)]
    if suite.throughput is not None:
        problems += [f"[throughput].{p}" for p in shape_problems(suite.throughput.sizes, capabilities)]
        problems += [f"[throughput].{p}" for p in rate_problems(suite.throughput.fps, capabilities)]
    if problems:
        raise SuiteError("\n".join(f"{suite.path}: {p}" for p in problems))


def check_shape(request: Request, capabilities: Capabilities, name: str) -> None:
    """Raises GeneratorError with the nearest valid values for a request that the generator `name` cannot make."""
    for problem in shape_problems([(request.width, request.height, request.num_frames)], capabilities):
        raise GeneratorError(f"{name}: {problem}")


def rate_problems(fps: float, capabilities: Capabilities) -> Iterator[str]:
    """Why a rate cannot be generated.

    >>> list(rate_problems(24.0, Capabilities(fps=8.0)))
    ['fps = 24; its clips have 8']
    """
    if not capabilities.has_rate(fps):
        yield f"fps = {fps:g}; its clips have {capabilities.fps:g}"


def shape_problems(sizes: Sequence[tuple[int, int, int]], capabilities: Capabilities) -> Iterator[str]:
    """Why (width, height, frames) cannot be generated: one sentence per value, without repeats.

    >>> list(shape_problems([(32, 32, 16)], Capabilities(side=8, stride=4)))
    ['frames = 16 is not 1 + a multiple of 4; nearest valid: 13, 17']
    """
    reported: set[tuple[str, int]] = set()
    for width, height, frames in sizes:
        values = (
            ("width", width, capabilities.side, 0),
            ("height", height, capabilities.side, 0),
            ("frames", frames, capabilities.stride, 1),
        )
        for name, value, step, offset in values:
            if (value - offset) % step == 0 or (name, value) in reported:
                continue
            reported.add((name, value))
            low = max((value - offset) // step, 1) * step + offset
            rule = f"{offset} + a multiple of {step}" if offset else f"a multiple of {step}"
            yield f"{name} = {value} is not {rule}; nearest valid: {low}, {low + step}"
