"""What a suite asks of a generator beside shapes: settings, and the frames that clips begin with."""

from __future__ import annotations

from collections.abc import Iterator

from sora_eval.generators.first_frames import begins, stored_frames
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.case import Prompt
from sora_eval.suite import Suite
from sora_eval.util.errors import ClipError, near


def setting_problems(suite: Suite, capabilities: Capabilities, name: str) -> Iterator[str]:
    """Why a suite's settings cannot be given to the generator `name`: one sentence per key of `[generate]`."""
    known = capabilities.settings
    if known is None:
        return
    given = suite.generate.given
    if any(p.negative_prompt is not None for p in suite.prompt_list) and "negative_prompt" not in given:
        given.append("negative_prompt")
    for key in given:
        if key not in known:
            yield f"[generate].{key} is not read by {name}{near(key, list(known))}"


def beginning_problems(suite: Suite, capabilities: Capabilities, name: str) -> Iterator[str]:
    """Why the clips of a suite cannot begin with the frames that it gives, or lack those that the generator needs."""
    least, most = capabilities.first_frames
    prompts = suite.prompt_list if suite.axes is not None else []
    without = [p for p in prompts if not begins(suite, p)]
    if least and without:
        count = "one frame" if (least, most) == (1, 1) else "frames"
        yield (
            f"the prompt {without[0].id!r}{_others(without)} has no image or video, and {name} begins from {count}; add "
            "image = FILE to its row, or use a text-to-video generator"
        )
    given = [p for p in prompts if begins(suite, p)]
    if given and not most:
        yield (
            f"the prompt {given[0].id!r}{_others(given)} has first frames, and {name} begins from none; use an image-to-video "
            "generator, or leave them out"
        )
        return
    for prompt in given:
        try:
            frames = stored_frames(suite, prompt)
        except ClipError as error:
            yield f"the prompt {prompt.id!r}: {error}"
            continue
        if frames is None and prompt.facts is None:
            asked = f"[generate].first_frames = {suite.generate.first_frames}"
            yield f"{asked}, but the prompt {prompt.id!r} has no image, video or facts"
            continue
        number = suite.generate.first_frames if frames is None else len(frames)
        if number is not None and (fault := _number_problem(number, suite, capabilities)):
            yield f"the prompt {prompt.id!r} gives {number} first frames; {fault}"
            return  # the others are as this one


def _number_problem(number: int, suite: Suite, capabilities: Capabilities) -> str:
    least, most = capabilities.first_frames
    shortest = min(suite.axes.frames) if suite.axes is not None else number
    if number > most:
        return f"at most {most} can be given; say [generate].first_frames"
    if number >= shortest > 1:
        return f"clips have {shortest} frames, and one at least is to be made; say [generate].first_frames"
    if number < least or (number - capabilities.offset) % capabilities.stride:
        return f"expected {capabilities.offset} + a multiple of {capabilities.stride}"
    return ""


def _others(prompts: list[Prompt]) -> str:
    return f" (of {len(prompts)})" if len(prompts) > 1 else ""
