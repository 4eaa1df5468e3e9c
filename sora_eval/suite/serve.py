"""The table [serve] of a suite: an open loop of requests, and what is promised of its answers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from sora_eval.suite.tables import Different, Seed, Table

_LIMIT = re.compile(r"\s*(?P<metric>[^<>=\s]+)\s*(?P<sign>>=|<=)\s*(?P<value>\S+)\s*")
_EXPECTED = "expected METRIC>=VALUE or METRIC<=VALUE, for example 'clip_score>=25'"


@dataclass(frozen=True)
class QualityLimit:
    """The least (`at_least`), or else the largest value of a per-clip metric's output that a good clip has."""

    metric: str
    at_least: bool
    value: float

    @staticmethod
    def parse(text: str) -> QualityLimit:
        """A limit from `METRIC>=VALUE` or `METRIC<=VALUE`. Raises ValueError for anything else.

        >>> print(QualityLimit.parse("clip_score >= 25"))
        clip_score>=25
        """
        match = _LIMIT.fullmatch(text)
        try:
            value = float(match["value"]) if match else math.nan
        except ValueError:
            value = math.nan
        if match is None or not math.isfinite(value):
            raise ValueError(f"{text!r} is no limit; {_EXPECTED}")
        return QualityLimit(match["metric"], match["sign"] == ">=", value)

    def holds(self, value: float | None) -> bool:
        """Whether a score is inside the limit; a clip without a score is not.

        >>> [QualityLimit("m", True, 0.5).holds(v) for v in (0.5, 0.4, None)]
        [True, False, False]
        """
        return value is not None and (value >= self.value if self.at_least else value <= self.value)

    def __str__(self) -> str:
        return f"{self.metric}{'>=' if self.at_least else '<='}{self.value:.12g}"


class Serve(Table):
    """Poisson arrivals at `rates` (requests per second), whether or not those before were answered.

    Without `rates`, they follow from the service time that is measured first. Each rate is offered in `repeats`, each with the
    same number of counted `requests` and arrivals of its own, drawn by `seed`. `objective` is the latency in seconds that is
    promised, `quality` the limits of per-clip metrics that a good clip holds besides.
    """

    rates: Annotated[list[Annotated[float, Field(gt=0, le=1e6)]], Different] = Field(default=[])
    requests: int = Field(default=100, ge=2, le=1_000_000)
    repeats: int = Field(default=6, ge=1, le=10_000)
    objective: float | None = Field(default=None, gt=0)
    quality: Annotated[list[str], Different] = Field(default=[])
    seed: Annotated[Seed, Field(ge=0)] = 0

    @field_validator("quality")
    @classmethod
    def _quality(cls, values: list[str]) -> list[str]:
        for value in values:
            QualityLimit.parse(value)
        return values

    @model_validator(mode="after")
    def _promise(self) -> Serve:
        if self.quality and self.objective is None:
            raise ValueError("quality is of goodput, which needs the latency that is promised; give objective, in seconds")
        return self

    @property
    def limits(self) -> list[QualityLimit]:
        """The limits of `quality`."""
        return [QualityLimit.parse(text) for text in self.quality]
