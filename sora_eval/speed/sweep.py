"""The points of a speed sweep: shapes snapped to those of a generator, batches, and one list of mixed shapes. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sora_eval.generators.first_frames import with_first_frames
from sora_eval.generators.protocol import AS_A_BATCH
from sora_eval.generators.shapes import shape_problems
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.case import Prompt
from sora_eval.records.request import Request
from sora_eval.suite import Suite, Throughput
from sora_eval.util.errors import GeneratorError
from sora_eval.util.redaction import given_again


@dataclass(frozen=True)
class Point:
    """One timed point: requests that are answered in one call. With a `problem` it cannot be timed.

    Ids are `WxHxT` for one clip, `batch4:WxHxT`, `offline:WxHxT`, `mixed:PACKING`.
    """

    id: str
    scenario: str
    requests: tuple[Request, ...]
    packing: str = AS_A_BATCH
    problem: str = ""

    @property
    def frames(self) -> int:
        """Frames of all its clips."""
        return sum(r.num_frames for r in self.requests)


def size_of(shape: str) -> tuple[int, int, int]:
    """Width, height (px) and frames of `WxHxT`.

    >>> size_of("40x24x17")
    (40, 24, 17)
    """
    width, height, frames = map(int, shape.split("x"))
    return width, height, frames


def nearest_shape(area: int, aspect: str, frames: int, capabilities: Capabilities) -> tuple[int, int, int]:
    """The valid shape (width, height, frames) nearest to an area (px^2), an aspect ratio `W:H` and a length in frames.

    Nearest by the logarithms of area and ratio; rounding each side alone turns 4:3 into 1:1 on a coarse grid.

    >>> nearest_shape(1024, "16:9", 16, Capabilities(side=8, stride=4))
    (40, 24, 17)
    """
    over, under = map(int, aspect.split(":"))
    step = capabilities.side
    sides = [
        sorted({max(step, math.floor(v / step) * step), math.ceil(v / step) * step})
        for v in (math.sqrt(area * over / under), math.sqrt(area * under / over))
    ]

    sizes = capabilities.sizes or [(width, height) for width in sides[0] for height in sides[1]]

    def distance(size: tuple[int, ...]) -> tuple[float, int]:
        """Equally near shapes are ordered by area, so that the inverse ratio gives the shape with its sides exchanged."""
        width, height = size
        logs = math.log(width * height / area) ** 2 + math.log(width * under / (height * over)) ** 2
        return round(logs, 9), width * height

    width, height = min(sizes, key=distance)
    offset, stride = capabilities.offset, capabilities.stride
    length = offset + max(round((frames - offset) / stride), 0 if offset else 1) * stride
    return width, height, min(length, capabilities.most_frames or length)


def shapes_of(sweep: Throughput, capabilities: Capabilities) -> tuple[list[str], list[str]]:
    """All shapes `WxHxT` of a sweep, each once, named ones and areas x aspects x lengths; and a note per snapped one."""
    shapes, notes = dict.fromkeys(sweep.shapes), []
    for area, aspect, frames in itertools.product(sweep.areas, sweep.aspects, sweep.lengths):
        width, height, length = nearest_shape(area, aspect, frames, capabilities)
        over, under = map(int, aspect.split(":"))
        if (width * height, length) != (area, frames) or width * under != height * over:
            notes.append(f"{area} px at {aspect} x {frames} frames: nearest {width}x{height}x{length}")
        shapes[f"{width}x{height}x{length}"] = None
    return list(shapes), notes


def request_for(shape: str, suite: Suite, seed: int = 0) -> Request:
    """The request of the sweep's prompt at one shape `WxHxT`."""
    sweep, settings = suite.throughput, suite.generate
    assert sweep is not None
    prompt = prompt_of(suite)
    steps, scale, negative = settings.num_inference_steps, settings.guidance_scale, settings.negative_prompt
    options = given_again(settings.options, "[generate]", GeneratorError)
    request = Request(sweep.prompt, *size_of(shape), sweep.fps, seed, steps, scale, prompt.facts, 0, negative, options=options)
    return with_first_frames(request, suite, prompt) if prompt.facts or prompt.first_frames else request


def prompt_of(suite: Suite) -> Prompt:
    """The sweep's prompt: the suite's own of the same text, whose facts and first frames are known, if there is one."""
    assert suite.throughput is not None
    text = suite.throughput.prompt
    return next((p for p in suite.prompt_list if p.text == text), Prompt("", text))


def groups_of(suite: Suite, capabilities: Capabilities, packings: Sequence[str]) -> tuple[list[list[Point]], list[str]]:
    """The points of a sweep, those of one inner list timed in turns; and notes on snapped shapes.

    Offline points hold one request, of which a search finds the largest batch. A shape that the generator cannot make is a
    point with its problem.
    """
    sweep = suite.throughput
    assert sweep is not None
    shapes, notes = shapes_of(sweep, capabilities)
    groups = []
    if "latency" in sweep.scenarios:
        for shape, batch in itertools.product(shapes, sweep.batch):
            point = Point(
                shape if batch == 1 else f"batch{batch}:{shape}",
                "latency" if batch == 1 else "batch",
                tuple(request_for(shape, suite, seed) for seed in range(batch)),
            )
            groups.append([with_problem(point, capabilities)])
    if "offline" in sweep.scenarios:
        ordered = sorted(shapes, key=lambda s: math.prod(size_of(s)))
        for shape in dict.fromkeys((ordered[0], ordered[-1])):
            groups.append([with_problem(Point(f"offline:{shape}", "offline", (request_for(shape, suite),)), capabilities)])
    if "mixed" in sweep.scenarios:
        requests = tuple(request_for(shape, suite, seed) for seed, shape in enumerate(sweep.mixed or shapes))
        mixed = [Point(f"mixed:{packing}", "mixed", requests, packing) for packing in packings]
        groups.append([with_problem(point, capabilities) for point in mixed])
    return groups, notes


def with_problem(point: Point, capabilities: Capabilities) -> Point:
    """The point, with its `problem` if the generator cannot make its shapes, or begins from frames that it is not given."""
    sizes = [(r.width, r.height, r.num_frames) for r in point.requests]
    problems = list(shape_problems(sizes, capabilities))
    if capabilities.first_frames[0] and any(r.first_frames is None for r in point.requests):
        problems.append("it begins from a frame; give a prompt with an image the text of [throughput].prompt")
    return replace(point, problem="; ".join(problems))
