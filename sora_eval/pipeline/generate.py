"""Generation: requests in chunks; every clip is written at once, and every failure has a row with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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

    Raises RunError if a file cannot be written, and GeneratorError as `Answers.add` does.
    """
    answers = Answers(folder, generator, cases, give_up)
    for chunk in track(chunks_of(cases, answers.existing, generator), "generate"):
        for answer in make(folder, suite, generator, chunk, seed_offset):
            answers.add(answer)
    if answers.existing:
        in_plan_order(folder, SampleRow, cases)


@dataclass(frozen=True)
class Chunk:
    """The cases of one call of a generator, and the ids of those that have no row yet."""

    asked: tuple[Case, ...]
    missing: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """The row of a case that was asked for, whose clip is on disk."""

    case: Case
    row: SampleRow
    misfit: bool = False  # of another shape or rate, or no clip at all


def chunks_of(cases: Sequence[Case], existing: Mapping[str, SampleRow], generator: Generator) -> list[Chunk]:
    """The calls that are left. They depend on the plan alone, so a resumed run asks for the same ones, less what a generator of
    `independent` requests has answered."""
    chunks = []
    for start in range(0, len(cases), generator.batch):
        chunk = cases[start : start + generator.batch]
        if missing := frozenset(case.id for case in chunk if case.id not in existing):
            asked = tuple(case for case in chunk if case.id in missing or not generator.independent)
            chunks.append(Chunk(asked, missing))
    return chunks


def make(folder: RunFolder, suite: Suite, generator: Generator, chunk: Chunk, seed_offset: int) -> Iterator[Answer]:
    """Ask for a chunk, and write each clip that is missing. Raises RunError if a file cannot be written."""
    for case, answer in zip(chunk.asked, answers_of(generator, suite, chunk.asked, seed_offset), strict=True):
        if case.id in chunk.missing:
            row = _stored(folder, case, answer, seed_of(case, seed_offset))
            yield Answer(case, row, isinstance(answer, Misfit))


class Answers:
    """Writes the rows of answers, in whatever order they come."""

    def __init__(self, folder: RunFolder, generator: Generator, cases: Sequence[Case], give_up: int) -> None:
        self.existing = {row.id: row for row in folder.rows(SampleRow)}
        """The rows that the run had."""
        self._folder, self._generator = folder, generator
        self._seen = {c.shape for c in cases if c.id in self.existing and self.existing[c.id].status == "ok"}
        self._failures = Failures(give_up, list(self.existing.values()))
        self._rest = sum(case.id not in self.existing for case in cases)

    def add(self, answer: Answer) -> None:
        """Raises GeneratorError where the first `give_up` cases fail for one reason, and where the first clip of a shape is of
        another one, from a generator that does not say what it can make."""
        name, shape = self._generator.name, answer.case.shape
        if answer.misfit and shape not in self._seen and not self._generator.capabilities.stated:
            raise GeneratorError(
                f"{name}: the first clip of {shape} does not fit the suite: {answer.row.error}; the others were not asked for. "
                "Change [axes], or let the generator state its capabilities"
            )
        if answer.row.status == "ok":
            self._seen.add(shape)
        self._folder.append([answer.row])
        self._rest -= 1
        self._failures.add(answer.row, name, self._rest)


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
