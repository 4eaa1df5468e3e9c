"""Verdicts: the records behind the table, verdicts.json, JUnit, the pytest item and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from sora_eval.util.errors import RunError
from sora_eval.util.sealed import read_json, sealed, unsealed

SCHEMA_VERSION = 5
SEALED_SINCE = 3  # the file has its digest
SERIES_SINCE = 4
DRIFT_SINCE = 5
FILE = "verdicts.json"
OTHER_SEEDS = "other seeds"  # how a row begins to say that no seed is the baseline's
EXIT_PASS, EXIT_REGRESSED, EXIT_UNDECIDED, EXIT_INCOMPLETE = 0, 10, 11, 12


class Verdict(StrEnum):
    """Result of a gate on one metric. Only PASS and IMPROVED are green."""

    PASS = "PASS"  # the one-sided bound of the harmful change lies inside the limit
    IMPROVED = "IMPROVED"  # going back from the new run to the baseline would be REGRESSED
    REGRESSED = "REGRESSED"  # past the limit, past the least change, and supported by the test
    INCONCLUSIVE = "INCONCLUSIVE"  # these prompts decide neither
    NO_BASELINE = "NO_BASELINE"  # the baseline lacks the metric
    NOT_COMPARABLE = "NOT_COMPARABLE"  # the two numbers answer different questions
    MISSING = "MISSING"  # the new run lacks the metric, or cases that the baseline has
    ERROR = "ERROR"  # no value: failed, undefined or not finite

    @property
    def green(self) -> bool:
        return self in (Verdict.PASS, Verdict.IMPROVED)


# The verdict of a gate is that of its worst row.
SEVERITY = (
    Verdict.REGRESSED,
    Verdict.ERROR,
    Verdict.MISSING,
    Verdict.NOT_COMPARABLE,
    Verdict.NO_BASELINE,
    Verdict.INCONCLUSIVE,
    Verdict.IMPROVED,
    Verdict.PASS,
)


@dataclass(frozen=True)
class GateRow:
    """One gated metric. `change` is new - base in `unit`; `low` and `high` are its interval, `bound_low` and `bound_high` its
    one-sided bounds. `seeds` says which seeds were compared with which.

    Of a gate with a window, `low` and `high` are the interval of the new value itself. `limit` is the allowed change as text.
    `p_adjusted` is `p` after Holm's correction. `detectable` is the smallest change in the gated direction that this gate
    calls REGRESSED with 80 % power; `prompts_needed` the number of prompts that settles an inconclusive row if the observed
    change is the true one.
    """

    metric: str
    slice: str
    verdict: Verdict
    reason: str
    limit: str
    min_change: float
    base: float | None = None
    new: float | None = None
    change: float | None = None
    change_percent: float | None = None
    low: float | None = None
    high: float | None = None
    bound_low: float | None = None
    bound_high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    n: int = 0
    unit: str = ""
    higher_is_better: bool | None = None
    detectable: float | None = None
    prompts_needed: int | None = None
    method: str = ""
    seeds: str = ""
    window: bool = False  # judged by its window, not by its limits
    series: int = 0  # the last runs of a series that it judges together; 0 in a row of one run

    @property
    def name(self) -> str:
        """`METRIC`, `METRIC[SLICE]` of a slice other than `all`, and `METRIC over N runs` of a series.

        >>> GateRow("fvd", "32x32x17", Verdict.REGRESSED, "", "", 0.0, series=8).name
        'fvd[32x32x17] over 8 runs'
        """
        name = self.metric if self.slice == "all" else f"{self.metric}[{self.slice}]"
        return f"{name} over {self.series} runs" if self.series else name


@dataclass(frozen=True)
class GateResult:
    """All rows of a gate. `run` and `baseline` describe the two sides; `incomplete` says why the run is not whole, or ''.

    `alpha` is the chance of a false REGRESSED; intervals have the confidence 1 - `alpha`. `sizing` says after how many
    prompts a run of `--until-decided` ended, or ''; `series` which run of a series this is, or ''; `drift` how many cases
    drifted, or '' where the clips were not compared.
    """

    rows: tuple[GateRow, ...]
    strict: bool
    profile: str | None
    run: dict[str, Any]
    baseline: dict[str, Any]
    incomplete: str = ""
    alpha: float = 0.05
    sizing: str = ""
    series: str = ""
    drift: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict of the worst row. An incomplete run, or a result without rows, is never green."""
        worst = min((r.verdict for r in self.rows), key=SEVERITY.index, default=Verdict.MISSING)
        if worst.green and any(r.verdict is Verdict.IMPROVED for r in self.rows):
            worst = Verdict.IMPROVED
        return Verdict.ERROR if self.incomplete and worst is not Verdict.REGRESSED else worst

    @property
    def exit_code(self) -> int:
        """0, 10 (regressed), 11 (undecided) or 12 (missing or failed). Without `strict`, undecided is 0."""
        verdict = self.verdict
        if verdict is Verdict.REGRESSED:
            return EXIT_REGRESSED
        if verdict in (Verdict.ERROR, Verdict.MISSING):
            return EXIT_INCOMPLETE
        return EXIT_PASS if verdict.green or not self.strict else EXIT_UNDECIDED

    @property
    def headline(self) -> str:
        """The last line of output: `gate: PASS (7 gates)`; after it the prompts of `--until-decided`, the run of a series, and
        how many cases drifted."""
        return "; ".join(filter(None, [self._counts, self.sizing, self.series, self.drift]))

    @property
    def situation(self) -> str:
        """What was compared: `same weights`, where pairs of one seed alone decide, or `other weights`; and whether the run's
        seeds are among the baseline's. A run that the baseline holds says so; '' without a baseline."""
        if not self.baseline:
            return ""
        if self.run.get("run") in self.baseline.get("runs", ()):
            return "the run itself, which the baseline holds"
        made, base = (side.get("generator") or {} for side in (self.run, self.baseline))
        known = [(made.get(key), base.get(key)) for key in ("weights", "fingerprint")]
        same = any(a and a == b for a, b in known) and not made.get("not_covered")
        said = [row.seeds for row in self.rows if row.seeds]
        apart = bool(said) and all(seeds.startswith(OTHER_SEEDS) for seeds in said)
        return f"{'same' if same else 'other'} weights, {'other' if apart else 'same'} seeds"

    @property
    def interval_name(self) -> str:
        """Heading of the intervals with their confidence.

        >>> GateResult((), False, None, {}, {}).interval_name
        '95 % interval'
        """
        return f"{100 * (1 - self.alpha):.3g} % interval"

    @property
    def _counts(self) -> str:
        if self.incomplete and self.verdict is Verdict.ERROR:
            return f"gate: {self.verdict} ({self.incomplete})"
        total = f"{len(self.rows)} gate{'s' if len(self.rows) != 1 else ''}"
        counts = Counter(r.verdict for r in self.rows)
        if set(counts) <= {self.verdict}:
            return f"gate: {self.verdict} ({total})"
        named = ", ".join(r.name for r in self.rows if r.verdict is self.verdict)
        others = ", ".join(f"{counts[v]} {v}" for v in SEVERITY if counts[v] and v is not self.verdict)
        return f"gate: {self.verdict} ({counts[self.verdict]} of {total}: {named}; {others})"

    def to_json(self) -> dict[str, Any]:
        """The content of verdicts.json."""
        return sealed(
            {
                "schema_version": SCHEMA_VERSION,
                "verdict": self.verdict,
                "exit_code": self.exit_code,
                "headline": self.headline,
                "situation": self.situation,
                "strict": self.strict,
                "profile": self.profile,
                "incomplete": self.incomplete,
                "alpha": self.alpha,
                "sizing": self.sizing,
                "series": self.series,
                "drift": self.drift,
                "run": self.run,
                "baseline": self.baseline,
                "rows": [asdict(r) for r in self.rows],
            }
        )

    @staticmethod
    def from_json(data: dict[str, Any]) -> GateResult:
        """The inverse of `to_json`; older schemas are upgraded. Raises RunError for a newer one, ValueError for damage."""
        schema = data.get("schema_version")
        if type(schema) is not int or not 1 <= schema <= SCHEMA_VERSION:
            raise RunError(f"{FILE}: schema version {schema!r}, this sora_eval reads 1 to {SCHEMA_VERSION}; gate the run again")
        if schema >= SEALED_SINCE:
            data = unsealed(data)
        known = [f.name for f in fields(GateRow)]
        rows: Sequence[dict[str, Any]] = data["rows"]
        if schema == 1:  # its word for min_change was floor
            rows = [{("min_change" if k == "floor" else k): v for k, v in row.items()} for row in rows]
        return GateResult(
            tuple(
                GateRow(**{k: r[k] for k in known if k in r or schema == SCHEMA_VERSION} | {"verdict": Verdict(r["verdict"])})
                for r in rows
            ),
            data["strict"],
            data["profile"],
            data["run"],
            data["baseline"],
            data["incomplete"],
            data["alpha"],
            data["sizing"],
            data["series"] if schema >= SERIES_SINCE else "",
            data["drift"] if schema >= DRIFT_SINCE else "",
        )

    @staticmethod
    def read(run: Path) -> GateResult | None:
        """The result of the last gate of a run folder; None without one. Raises RunError if verdicts.json is damaged."""
        path = run / FILE
        if not path.exists():
            return None
        try:
            return GateResult.from_json(read_json(path))
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise RunError(f"{path} is damaged: {error}; gate the run again") from error
