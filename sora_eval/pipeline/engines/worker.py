"""What a worker holds, whatever engine started it: an open generator, or the metrics with their networks.

Clips pass by the run folder where a worker sees it, and else as the bytes of their files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol

from sora_eval.features.device import use, where
from sora_eval.generators.identity import identity_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import ClipSource
from sora_eval.pipeline.generate import Answer, Chunk, make
from sora_eval.pipeline.score_clip import ClipResult, ReferenceResult, Scorer
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import Suite
from sora_eval.util.errors import RunError
from sora_eval.util.processes import use_session_threads
from sora_eval.util.redaction import redact


@dataclass(frozen=True)
class Setup:
    """What a worker takes over from the driver: threads, the device of networks, the working folder and where modules are."""

    threads: int
    session_threads: int
    device: str
    working_folder: str
    modules: tuple[str, ...]

    def apply(self) -> None:
        """Raises nothing for a folder that is not on this machine: what needs it says so."""
        import cv2
        import torch

        if os.path.isdir(self.working_folder):
            os.chdir(self.working_folder)
        sys.path.extend(entry for entry in self.modules if entry not in sys.path)
        torch.set_num_threads(self.threads)
        cv2.setNumThreads(self.threads)
        use_session_threads(self.session_threads)
        use(self.device)


@dataclass(frozen=True)
class Place:
    """A worker that is open: its process, whether it sees the run folder, and of a scorer what it scores by, and where."""

    pid: int
    shares_folder: bool
    protocols: dict[str, str]
    """Signature of each metric, or why it is missing."""
    networks: dict[str, str]


class State(Protocol):
    """The generator or the metrics of a worker."""

    @property
    def place(self) -> Place:
        """Where it is."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class Holder:
    """The state of one worker. Of engine `ray` it is the actor."""

    def open(self, make_state: Callable[[], State], setup: Setup) -> Place:
        """Raises SoraEvalError where a generator or a metric cannot be opened."""
        setup.apply()
        self._state = make_state()
        return self._state.place

    def call(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Any:
        """`function(state, *job)`."""
        return function(self._state, *job)

    def close(self) -> None:
        """Give back what the state holds."""
        self._state.close()


def shares(path: Path) -> bool:
    """Whether a run folder of the driver is here too: its name has a random part."""
    return (path / "run.json").is_file()


class _Files:
    """The run folder, or one of a worker's own on a machine that has no such folder."""

    def __init__(self, path: Path) -> None:
        self.shared = shares(path)
        self.folder = RunFolder(path if self.shared else Path(mkdtemp(prefix="sora_eval-")))
        (self.folder.path / "clips").mkdir(exist_ok=True)

    def taken(self, row: SampleRow) -> bytes | None:
        """The bytes of a clip that was made, which the driver writes; None where it is in the run folder, or there is none."""
        if self.shared or not row.clip:
            return None
        path = self.folder.path / row.clip
        content = path.read_bytes()
        path.unlink()
        return content


class GeneratorState:
    """An open generator, which makes and writes clips. Raises RunError for one of another fingerprint than the driver's."""

    def __init__(self, spec: str, suite: Suite, path: Path, seed_offset: int, fingerprint: str) -> None:
        self._suite, self._seed_offset = suite, seed_offset
        self._generator = open_generator(spec)
        self._files = _Files(path)
        if isinstance(self._generator, ClipSource):
            return  # every file of it would be read, and rows have the hash of their frames
        own = redact(identity_of(self._generator, spec).fingerprint)
        if own != fingerprint:
            raise RunError(
                f"a worker opens another generator by {spec}: its fingerprint is {own}, that of the run {fingerprint}; give "
                "every machine the same code and weights"
            )

    @property
    def place(self) -> Place:
        return Place(os.getpid(), self._files.shared, {}, {})

    def chunk(self, chunk: Chunk) -> list[tuple[Answer, bytes | None]]:
        """The answers of a chunk, with the bytes of clips that are not in the run folder."""
        answers = []
        for answer in make(self._files.folder, self._suite, self._generator, chunk, self._seed_offset):
            answers.append((answer, self._files.taken(answer.row)))
        return answers

    def close(self) -> None:
        self._generator.close()


class ScorerState:
    """The metrics with their networks, which score clips. Raises RunError where it finds no clip of a folder."""

    def __init__(self, path: Path, suite: Suite, prompts: list[Prompt], source: ClipSource | None, seed_offset: int) -> None:
        if source is not None and suite.axes is None and not any(source.path(case).exists() for case in source.cases()):
            raise RunError(f"a scorer finds no clip of {source.checkpoint}; put the clips where every machine sees them")
        self._files = _Files(path)
        self._scorer = Scorer(self._files.folder, suite, prompts, source, seed_offset)

    @property
    def place(self) -> Place:
        protocols = {**self._scorer.signatures, **{n: f"missing: {why}" for n, why in self._scorer.metrics.missing.items()}}
        return Place(os.getpid(), self._files.shared, protocols, where())

    def case(self, case: Case, sample: SampleRow | None, with_scores: bool, content: bytes | None) -> ClipResult:
        """As `Scorer.case`; `content` is the clip's file where the run folder is not here."""
        if content is None or sample is None:
            return self._scorer.case(case, sample, with_scores)
        path = self._files.folder.path / sample.clip
        path.write_bytes(content)
        try:
            return self._scorer.case(case, sample, with_scores)
        finally:
            path.unlink()

    def reference(self, case: Case, clip: Clip | str) -> tuple[Case, ReferenceResult]:
        """As `Scorer.reference`."""
        return self._scorer.reference(case, clip)

    def close(self) -> None:
        pass
