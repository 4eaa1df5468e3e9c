"""The base class of generators under test: the required methods of an adapter, and defaults for the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.records.capabilities import Capabilities
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError, SoraEvalError, Undefined
from sora_eval.util.sealed import digest_of, file_digest

ONE_BY_ONE, AS_A_BATCH = "single", "batch"  # packings that every generator has
# Stages of a clip of a service: the wait there until it was begun; the reading of its video here, no part of its latency.
QUEUE, READ = "queue", "read"


class Generator(ABC):
    """Answers requests with clips.

    An adapter sets `name` and implements `fingerprint` and `generate`. Overrides of the rest are optional.
    """

    name: str
    checkpoint: str = ""
    batch: int = 1
    """Requests per call of `generate`."""
    independent: bool = False
    """Whether it answers each request of a call on its own, so that a resumed run asks for those alone that have no clip."""
    concurrent: bool = False
    """Whether `generate` may be called by several threads at once, because what answers has a queue of its own."""
    capabilities: Capabilities = Capabilities(stated=False)
    packings: tuple[str, ...] = (ONE_BY_ONE, AS_A_BATCH)
    """The ways in which `serve` batches requests of mixed shapes."""

    @property
    def training_steps(self) -> int | None:
        """Training steps of the checkpoint; None where it does not record them."""
        return None

    @property
    def where(self) -> dict[str, Any]:
        """Where it runs: device, provider (what computes), threads, and settings that its spec fixes."""
        return {}

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of weights and configuration; generators with different hashes are different generators."""

    @property
    def weights(self) -> str:
        """Hash of the weights alone, without backend, precision and steps; '' where it is not known."""
        return ""

    @property
    def not_covered(self) -> str:
        """What `fingerprint` does not know, in words; '' where equal hashes mean equal weights and configuration."""
        return ""

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> Sequence[Clip | SoraEvalError]:
        """One clip per request, in order, frames (T, H, W, 3) uint8. Equal requests give equal clips in any batch.

        An error in the place of a clip fails that request alone; one that is raised has each request asked for on its own.
        """

    def serve(self, requests: Sequence[Request], packing: str) -> Sequence[Clip | SoraEvalError]:
        """The clips of `generate`, batched by one of `packings`, or as `generate` does (`AS_A_BATCH`).

        Raises GeneratorError for another packing.
        """
        if packing == ONE_BY_ONE:
            return [clip for r in requests for clip in self.generate([r])]
        if packing != AS_A_BATCH:
            raise GeneratorError(f"{self.name} knows no packing {packing!r}; known: {', '.join(self.packings)}")
        return self.generate(requests)

    def tokens(self, request: Request) -> int | None:
        """Tokens that the network sees for one clip; None where it does not count them."""
        return None

    def flops(self, requests: Sequence[Request], packing: str) -> dict[str, int] | None:
        """Floating-point operations of one call by stage and `whole`; None where it does not count them."""
        return None

    def synchronise(self) -> None:  # noqa: B027  most devices have nothing to wait for
        """Wait until the device is idle; some calls return before that."""

    def denoising_losses(
        self, clips: Sequence[Clip], prompts: Sequence[str], times: Sequence[float], seed: int
    ) -> npt.NDArray[np.float64]:
        """How badly its denoiser predicts each clip from a noisy one, (len(clips), len(times)); times are shares of noise in
        (0, 1), clips of one shape get equal noise, and an empty prompt is none. Raises Undefined where it has no denoiser."""
        raise Undefined(f"{self.name} has no denoiser that can be asked for the loss of a clip")

    def close(self) -> None:  # noqa: B027  most hold nothing beyond their own memory
        """The run has ended: give back what it holds. It may be asked again."""

    def damaged(self, request: Request, corruption: str, strength: float, rng: np.random.Generator) -> Clip:
        """The answer under a scene corruption of `video.corruptions`. Raises Undefined where it does not apply."""
        raise Undefined(f"{self.name} does not know the truth behind its clips, so it cannot render them with another one")


class ClipSource(Generator):
    """A generator whose clips exist already, each with its own prompt and shape."""

    layout: str = ""
    """Name of the rule by which prompts and seeds were read; '' where there is none."""

    @abstractmethod
    def cases(self) -> list[Case]:
        """The cases of its clips."""

    @abstractmethod
    def read(self, case: Case) -> Clip:
        """The clip of one of its cases. Raises ClipError."""

    @abstractmethod
    def path(self, case: Case) -> Path:
        """The path of its file."""

    def digests(self) -> dict[str, str]:
        """sha256 of the bytes of every case's file, by id; '' for a file that cannot be read."""
        return {case.id: _digest(self.path(case)) for case in self.cases()}


def content_digest(path: Path) -> str:
    """sha256 of a file's bytes; of a folder, of the names and bytes of its files. Raises OSError."""
    if not path.is_dir():
        return file_digest(path)
    return digest_of({p.name: file_digest(p) for p in path.iterdir() if p.is_file() and not p.name.startswith(".")})


def _digest(path: Path) -> str:
    try:
        return content_digest(path)
    except OSError:  # the row of its case says why
        return ""
