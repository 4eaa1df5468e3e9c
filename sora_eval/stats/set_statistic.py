"""Which statistic of two sets of vectors a metric reports. A record: a signature shows it, and nothing parses that back."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class SetStatistic(BaseModel):
    """`frechet` reads `ddof` and `ridge` (added to the diagonals of both covariances), precision and recall `neighbours`.

    >>> str(SetStatistic(kind="frechet", ddof=0))
    'frechet|ddof:0'
    >>> str(SetStatistic(kind="recall", neighbours=3))
    'recall-knn:3'
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    kind: Literal["frechet", "mmd-cubic", "mmd-gaussian", "precision", "recall", "natural-scene", "niqe"]
    ddof: int = 1
    ridge: float = 0.0
    neighbours: int = 3

    def __str__(self) -> str:
        if self.kind == "frechet":
            return f"frechet|ddof:{self.ddof}" + (f"|ridge:{self.ridge:g}" if self.ridge else "")
        if self.kind == "mmd-gaussian":
            return "mmd-gaussian-unbiased|bandwidth:median-of-reference"
        if self.is_mean:
            return f"{'niqe-distance' if self.kind == 'niqe' else 'kl-divergence'}|mean-of-clips"
        return "mmd-cubic-unbiased" if self.kind == "mmd-cubic" else f"{self.kind}-knn:{self.neighbours}"

    @property
    def is_distance(self) -> bool:
        """Larger means further apart, so a permutation test can ask whether two sets have one source."""
        return self.kind not in ("precision", "recall") and not self.is_mean

    @property
    def is_mean(self) -> bool:
        """The mean of a score of every generated clip, against the reference set as a whole."""
        return self.kind in ("natural-scene", "niqe")

    @property
    def span(self) -> float | None:
        """The width of the range of its values: 1 of a share; None of a distance, which has no upper end."""
        return None if self.is_distance else 1.0

    @property
    def is_unbiased(self) -> bool:
        """Its mean does not depend on the number of vectors, so that leave-one-out values estimate its error."""
        return self.kind in ("mmd-cubic", "mmd-gaussian") or self.is_mean
