"""The record of one compared metric."""

from __future__ import annotations

from dataclasses import dataclass, field

from sora_eval.compare.cases import Unpaired
from sora_eval.records.verdict import Verdict
from sora_eval.stats.intervals import Interval

NO_INTERVAL = Interval(None, None, "")


@dataclass(frozen=True)
class Difference:
    """`status` is None where there is a number, else the verdict in its place, with its `reason`.

    `base`, `new`, `change` and `interval` are in `unit`; `bounds` are one-sided, each with the interval's confidence. `seeds`
    says which seeds were compared with which. `n` is the number of cases or repeats, `units` that of the clusters
    (what `counted` says: prompts or repeats) behind `error`, the standard error of the change, and `new_error`, that of the
    new value. `least_p` is the smallest p that the test can give with that many clusters.
    """

    metric: str
    slice: str
    status: Verdict | None = None
    reason: str = ""
    base: float | None = None
    new: float | None = None
    change: float | None = None
    interval: Interval = NO_INTERVAL
    bounds: Interval = NO_INTERVAL
    p: float | None = None
    error: float | None = None
    new_error: float | None = None
    least_p: float = 0.0
    n: int = 0
    units: int = 0
    unit: str = ""
    higher_is_better: bool | None = None
    family: str = ""
    counted: str = "prompts"
    note: str = ""
    seeds: str = ""
    unlike_reference: str = ""  # as in MetricRow, of either run
    unpaired: Unpaired = field(default_factory=Unpaired)
    paired: bool = False  # of a paired metric: `base` is its value for a clip and itself

    @property
    def change_percent(self) -> float | None:
        """Change in per cent of the baseline's value; None where that is 0, where there is no change, and of paired metrics."""
        return 100 * self.change / abs(self.base) if self.change is not None and self.base and not self.paired else None
