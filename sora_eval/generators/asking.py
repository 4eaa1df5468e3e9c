"""Requests to a generator, one per case, and the check of its clips."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from sora_eval.generators.protocol import Generator
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.suite import Suite
from sora_eval.util.errors import reason_of


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
        case.prompt.facts,
        case.seed,
    )


def answers(generator: Generator, requests: list[Request]) -> list[Clip | str]:
    """One clip per request, or the reason why there is none; a bad request does not fail the others of its batch."""
    try:
        clips = list(generator.generate(requests))
        if len(clips) == len(requests):
            return [problem_of(c, r) or c for c, r in zip(clips, requests, strict=True)]
        reason = f"the generator returned {len(clips)} clips, expected {len(requests)}"
    except Exception as error:  # a user's generator may raise anything: it becomes the row's reason
        reason = reason_of(error)
    if len(requests) == 1:
        return [reason]
    return [answer for r in requests for answer in answers(generator, [r])]


def problem_of(clip: Any, request: Request) -> str | None:
    """The defect of an answer, found and expected; None for a clip of the requested shape."""
    if not isinstance(clip, Clip):
        return f"the generator returned a {type(clip).__name__}, expected a Clip"
    expected = (request.num_frames, request.height, request.width, 3)
    if clip.frames.shape != expected:
        return f"found frames {clip.frames.shape}, expected {expected}"
    return None
