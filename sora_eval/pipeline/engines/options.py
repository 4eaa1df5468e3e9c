"""What is asked of an engine, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass

from sora_eval.runs.head import EngineUsed
from sora_eval.util.errors import RunError

RETRIES = 2


@dataclass(frozen=True)
class EngineOptions:
    """An engine by its `name`, `local` or `ray`, and its workers. Raises RunError for values that no engine can take.

    `address` is that of a Ray cluster; `gpus_per_generator` what each generator takes of its GPUs. A worker that has not
    answered for a case in `case_timeout` seconds (None: it may take any time) is ended. A case whose worker was lost or ended
    is tried `retries` times more.
    """

    name: str
    generators: int = 1
    scorers: int = 1
    address: str | None = None
    gpus_per_generator: float | None = None
    case_timeout: float | None = None
    retries: int = RETRIES

    def __post_init__(self) -> None:
        if self.name not in ("local", "ray"):
            raise RunError(f"--engine {self.name}: no such engine; expected local or ray")
        if self.name != "ray":
            of_ray = {"--gpus-per-generator": self.gpus_per_generator, "--address": self.address}
            if given := [option for option, value in of_ray.items() if value is not None]:
                raise RunError(
                    f"{', '.join(given)}: of --engine ray; processes of --engine local share all that this machine has"
                )
        for option, number in {"--generators": self.generators, "--scorers": self.scorers}.items():
            if number < 1:
                raise RunError(f"{option} {number}: expected at least 1")
        if self.retries < 0:
            raise RunError(f"--retries {self.retries}: expected 0 or more")
        if self.case_timeout is not None and not self.case_timeout > 0:
            raise RunError(f"--case-timeout {self.case_timeout:g}: expected seconds, more than 0")
        gpus = self.gpus_per_generator
        if gpus is not None and (not gpus > 0 or (gpus > 1 and gpus % 1)):
            raise RunError(
                f"--gpus-per-generator {gpus:g}: expected a share of one GPU, such as 0.5, or a whole number of them"
            )

    @property
    def used(self) -> EngineUsed:
        """What run.json says of it."""
        return EngineUsed(
            name="ray" if self.name == "ray" else "local",
            generators=self.generators,
            scorers=self.scorers,
            gpus_per_generator=self.gpus_per_generator,
        )
