"""The records of a finished selfcheck. Pure: reports read them without loading a network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sora_eval.video.corruptions import TRIVIAL_PREFIX

SCHEMA_VERSION = 2  # of selfcheck.json; 1 called the trivial clips baselines


@dataclass(frozen=True)
class Row:
    """One output under one treatment. `value` is the mean of the scores, or the value of the set; `change` and `effect_sd`
    are against the clean clips, in pairs; `n_scored` of `n_expected` clips have a score."""

    metric: str
    family: str
    kind: str
    unit: str
    higher_is_better: bool | None
    corruption: str
    strength: float
    value: float | None
    change: float | None
    effect_sd: float | None
    n_scored: int
    n_expected: int
    status: str
    reason: str
    signature: str


@dataclass(frozen=True)
class Response:
    """How one output responds to one corruption, beside what it claims. `ok` is None where nothing is claimed or measured."""

    metric: str
    family: str
    corruption: str
    rank_correlation: float | None
    effect_sd: float | None
    least_effect_sd: float | None
    direction: str
    claimed: str
    ok: bool | None
    note: str


@dataclass(frozen=True)
class Detection:
    """The outputs that detect a corruption, of the families that should: graded, and for the worse. `ok` is None where not all
    metrics of these families were measured."""

    corruption: str
    families: tuple[str, ...]
    metrics: tuple[str, ...]
    ok: bool | None


@dataclass(frozen=True)
class Decoded:
    """One form of file. `psnr` in dB is what its codec loses of the clips, None for nothing; `ok` says whether it was read as
    `like`, None where it could not be tried, with the `reason`; `changes` are mean changes of outputs against the clips."""

    form: str
    like: str
    psnr: float | None
    ok: bool | None
    reason: str
    changes: dict[str, float]


@dataclass(frozen=True)
class Result:
    """A finished selfcheck of `n` clips; `exact` where their truth is known. `missing` metrics could not be created."""

    clips: str
    n: int
    exact: bool
    rows: list[Row] = field(default_factory=list)
    summary: list[Response] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    decoding: list[Decoded] = field(default_factory=list)

    @property
    def trivial(self) -> list[Row]:
        """The rows of the trivial clips."""
        return [r for r in self.rows if r.corruption.startswith(TRIVIAL_PREFIX)]

    @property
    def failures(self) -> list[str]:
        """One sentence per claim that does not hold, per corruption that no metric catches, per form that is read wrongly."""
        broken = [
            f"{r.metric} on {r.corruption}: claims {r.claimed!r}, found {r.direction!r}"
            f" (rank correlation {_text(r.rank_correlation)}, effect {_text(r.effect_sd)} sd"
            + (f", at the least strength {_text(r.least_effect_sd)} sd)" if r.claimed.endswith("to little") else ")")
            for r in self.summary
            if r.ok is False
        ]
        broken += [
            f"{c.corruption}: no metric of {' or '.join(c.families)} catches it" for c in self.detections if c.ok is False
        ]
        return broken + [f"{d.form}: not read as {d.like}: {d.reason}" for d in self.decoding if d.ok is False]

    @property
    def verdict(self) -> str:
        """FAIL with a failure, else INCOMPLETE with a missing metric, else PASS."""
        if self.failures:
            return "FAIL"
        return "INCOMPLETE" if self.missing else "PASS"

    def to_json(self) -> dict[str, Any]:
        """Plain data without NaN, for selfcheck.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "clips": self.clips,
            "n": self.n,
            "verdict": self.verdict,
            "failures": self.failures,
            "missing": self.missing,
            "rows": [asdict(r) for r in self.rows],
            "summary": [asdict(r) for r in self.summary],
            "caught": [asdict(c) for c in self.detections],
            "trivial": [asdict(r) for r in self.trivial],
            "decoding": [asdict(d) for d in self.decoding],
        }


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:+.2f}"
