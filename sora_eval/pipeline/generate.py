"""Generation: requests in chunks; every clip is written at once, and every failure has a row with its reason."""

from __future__ import annotations

from sora_eval.generators.asking import Misfit, answers_of, seed_of
from sora_eval.generators.protocol import Generator
from sora_eval.pipeline.again import GIVE_UP, Failures, in_plan_order
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import Suite
from sora_eval.util.environment import peak_bytes
from sora_eval.util.errors import ClipError, GeneratorError, RunError, fault_of_machine, line_of, reason_of
from sora_eval.util.progress import track
from sora_eval.video.codec import write_clip


def generate(
    folder: RunFolder, suite: Suite, generator: Generator, cases: list[Case], seed_offset: int = 0, give_up: int = GIVE_UP
) -> None:
    """Generate the missing clips; a failed one gets a row with the reason.

    Chunks depend on the plan alone, so a resumed run asks for the same ones, less what a generator of `independent` requests
    has answered. Raises RunError if a file cannot be written, and GeneratorError where the first `give_up` cases fail for one
    reason, and where the first clip of a shape is of another one, from a generator that does not say what it can make.
    """
    existing = {row.id: row for row in folder.rows(SampleRow)}
    seen = {case.shape for case in cases if case.id in existing and existing[case.id].status == "ok"}
    failures, rest = Failures(give_up, list(existing.values())), sum(case.id not in existing for case in cases)
    chunks = [cases[i : i + generator.batch] for i in range(0, len(cases), generator.batch)]
    for chunk in track(chunks, "generate"):
        if all(case.id in existing for case in chunk):
            continue
        asked = [case for case in chunk if case.id not in existing or not generator.independent]
        for case, answer in zip(asked, answers_of(generator, suite, asked, seed_offset), strict=True):
            if isinstance(answer, Misfit) and case.shape not in seen and not generator.capabilities.stated:
                raise GeneratorError(
                    f"{generator.name}: the first clip of {case.shape} does not fit the suite: {answer}; the others were not "
                    "asked for. Change [axes], or let the generator state its capabilities"
                )
            if isinstance(answer, Clip):
                seen.add(case.shape)
            if case.id not in existing:
                row = _stored(folder, case, answer, seed_of(case, seed_offset))
                folder.append([row])
                rest -= 1
                failures.add(row, generator.name, rest)
    if existing:
        in_plan_order(folder, SampleRow, cases)


def _stored(folder: RunFolder, case: Case, answer: Clip | str, seed: int) -> SampleRow:
    if isinstance(answer, str):
        return sample_row(case, None, "", answer, seed)
    path = folder.clip_path(case.id)
    try:
        write_clip(answer, path)
    except (ClipError, MemoryError) as error:
        return sample_row(case, None, "", reason_of(error), seed)
    except OSError as error:
        fault = fault_of_machine(error) or error.strerror or line_of(error)
        raise RunError(f"{path} cannot be written: {fault}; then use --resume") from error
    return sample_row(case, answer, str(path.relative_to(folder.path)), "", seed)


def sample_row(case: Case, clip: Clip | None, path: str, error: str, request_seed: int | None = None) -> SampleRow:
    """The row of a case with its clip (`path` is its file), or with the `error` and the requested shape."""
    return SampleRow(
        id=case.id,
        prompt_id=case.prompt.id,
        prompt=case.prompt.text,
        tags=case.prompt.tags,
        width=clip.width if clip else case.width,
        height=clip.height if clip else case.height,
        frames=clip.num_frames if clip else case.num_frames,
        fps=clip.fps if clip else case.fps,
        seed=case.seed,
        request_seed=request_seed,
        status="error" if error else "ok",
        error=error,
        clip=path,
        sha256=clip.sha256 if clip else None,
        seconds=clip.seconds if clip else {},
        peak_bytes=peak_bytes(),
        notes=clip.notes if clip else (),
    )
