"""Requests to a generator, one per case, and the check of its clips."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import islice
from typing import Any
from zlib import crc32

from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.records.capabilities import same_rate
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.suite import Suite
from sora_eval.util.errors import SoraEvalError, Undefined, reason_of
from sora_eval.util.user_code import user_code


def request_of(case: Case, suite: Suite, seed_offset: int = 0) -> Request:
    """The request of a case.

    Its seed mixes the prompt's id with the case's seed: with one seed all prompts would start from the same noise, and a set of
    clips would vary less than its n suggests.
    """
    seed = (crc32(case.prompt.id.encode()) + case.seed + seed_offset) % 2**31
    assert case.width is not None and case.height is not None  # noqa: PT018
    assert case.num_frames is not None and case.fps is not None  # noqa: PT018
    return Request(
        case.prompt.text,
        case.width,
        case.height,
        case.num_frames,
        case.fps,
        seed,
        suite.generate.num_inference_steps,
        suite.generate.guidance_scale,
        deepcopy(case.prompt.facts),  # a generator may change its request, and metrics read the facts after it
        case.seed,
    )


def answers(generator: Generator, requests: list[Request]) -> list[Clip | str]:
    """One clip per request, or the reason why there is none; a bad request does not fail the others of its batch."""
    clips: list[Any] = []
    try:
        with user_code():
            clips = list(islice(generator.generate(list(requests)), len(requests) + 1))
        reason = wrong_number(clips, requests)
    except (SoraEvalError, Undefined) as error:
        reason = reason_of(error)
    if not reason:
        return [problem_of(c, r) or c for c, r in zip(clips, requests, strict=True)]
    if len(requests) == 1:
        return [reason]
    return [answer for r in requests for answer in answers(generator, [r])]


def clip_of(source: ClipSource, case: Case) -> Clip | str:
    """The existing clip of a case, or the reason why there is none."""
    try:
        with user_code():
            clip: Any = source.read(case)
    except (SoraEvalError, Undefined) as error:
        return reason_of(error)
    return clip if isinstance(clip, Clip) else f"found a {type(clip).__name__}, expected a Clip"


def wrong_number(clips: Sequence[Any], requests: Sequence[Request]) -> str:
    """The defect of an answer that has not one clip per request; '' for none. Of a longer answer, one clip more is enough."""
    if len(clips) == len(requests):
        return ""
    count = f"more than {len(requests)}" if len(clips) > len(requests) else f"{len(clips)}"
    return f"the generator returned {count} clips, expected {len(requests)}"


def problem_of(clip: Any, request: Request) -> str | None:
    """The defect of an answer, found and expected; None for a clip of the requested shape and rate."""
    if not isinstance(clip, Clip):
        return f"the generator returned a {type(clip).__name__}, expected a Clip"
    expected = (request.num_frames, request.height, request.width, 3)
    if clip.frames.shape != expected:
        return f"found frames {clip.frames.shape}, expected {expected}"
    if not same_rate(clip.fps, request.fps):
        return f"found {clip.fps:g} frames per second, expected {request.fps:g}"
    return None
