"""Requests to a generator, one per case, and the check of its clips."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from sora_eval.generators.first_frames import with_first_frames
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.records.capabilities import same_rate
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.suite import Suite
from sora_eval.util.errors import ClipError, GeneratorError, SoraEvalError, Undefined, reason_of
from sora_eval.util.redaction import given_again
from sora_eval.util.user_code import user_code


def request_of(case: Case, suite: Suite, seed_offset: int = 0) -> Request:
    """The request of a case.

    Raises ClipError for first frames that can no longer be read.
    """
    assert case.width is not None and case.height is not None  # noqa: PT018
    assert case.num_frames is not None and case.fps is not None  # noqa: PT018
    settings, negative = suite.generate, case.prompt.negative_prompt
    request = Request(
        case.prompt.text,
        case.width,
        case.height,
        case.num_frames,
        case.fps,
        seed_of(case, seed_offset),
        settings.num_inference_steps,
        settings.guidance_scale,
        deepcopy(case.prompt.facts),  # a generator may change its request, and metrics read the facts after it
        case.seed,
        settings.negative_prompt if negative is None else negative,
        options=deepcopy(given_again(settings.options, "[generate]", GeneratorError)),
    )
    return with_first_frames(request, suite, case.prompt)


def seed_of(case: Case, seed_offset: int = 0) -> int:
    """The seed that a generator gets for a case.

    It mixes the prompt's id with the case's seed: with one seed all prompts would start from the same noise, and a set of clips
    would vary less than its n suggests.
    """
    return (crc32(case.prompt.id.encode()) + case.seed + seed_offset) % 2**31


def answers_of(generator: Generator, suite: Suite, cases: Sequence[Case], seed_offset: int = 0) -> list[Clip | str]:
    """One clip per case, or the reason why there is none, in one call of the generator."""
    requests: dict[str, Request] = {}
    out: dict[str, Clip | str] = {}
    for case in cases:
        try:
            requests[case.id] = request_of(case, suite, seed_offset)
        except SoraEvalError as error:
            out[case.id] = str(error)
    out |= zip(requests, answers(generator, list(requests.values())), strict=True) if requests else ()
    return [out[case.id] for case in cases]


def answers(generator: Generator, requests: list[Request]) -> list[Clip | str]:
    """One clip per request, or the reason why there is none; a bad request does not fail the others of its batch."""
    clips: list[Any] = []
    try:
        with user_code():
            clips = list(islice(generator.generate(list(requests)), len(requests) + 1))
        reason = wrong_number(clips, requests)
    except ClipError as error:
        reason = Misfit(error)
    except (SoraEvalError, Undefined) as error:
        reason = reason_of(error)
    if not reason:
        return [problem_of(c, r) or c for c, r in zip(clips, requests, strict=True)]
    if len(requests) == 1:
        return [reason]
    return [answer for r in requests for answer in answers(generator, [r])]


def losses_of(
    generator: Generator, clips: Sequence[Clip], prompts: Sequence[str], times: Sequence[float], seed: int
) -> npt.NDArray[np.float64]:
    """`denoising_losses` of a generator, (len(clips), len(times)), checked.

    Raises GeneratorError for another shape and for values that are no finite numbers of at least 0, Undefined where it has no
    denoiser, and what else the generator raises as an error of this project.
    """
    with user_code():
        losses: Any = generator.denoising_losses(clips, prompts, times, seed)
    try:
        values = np.asarray(losses, np.float64)
    except (TypeError, ValueError) as error:
        raise GeneratorError(f"{generator.name}: losses are {type(losses).__name__}; expected an array of numbers") from error
    if values.shape != (len(clips), len(times)):
        raise GeneratorError(f"{generator.name}: losses are {values.shape}; expected (clips, times) = {len(clips), len(times)}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise GeneratorError(f"{generator.name}: losses are not all finite numbers of at least 0")
    return values


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


class Misfit(str):
    """The defect of an answer that is no clip, or one of another shape or rate than it was asked for."""


def problem_of(clip: Any, request: Request) -> str | None:
    """The defect of an answer, found and expected; None for a clip of the requested shape and rate."""
    if isinstance(clip, SoraEvalError):
        return Misfit(clip) if isinstance(clip, ClipError) else reason_of(clip)
    if not isinstance(clip, Clip):
        return Misfit(f"the generator returned a {type(clip).__name__}, expected a Clip")
    expected = (request.num_frames, request.height, request.width, 3)
    if clip.frames.shape != expected:
        return Misfit(f"found frames {clip.frames.shape}, expected {expected}")
    if not same_rate(clip.fps, request.fps):
        return Misfit(f"found {clip.fps:g} frames per second, expected {request.fps:g}")
    return None
