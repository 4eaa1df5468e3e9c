"""Two runs of one suite, metric by metric and slice by slice. Pure.

A difference is NEW minus BASE. What cannot be compared has a row with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from sora_eval.compare.difference import difference
from sora_eval.compare.fidelity import drift_of
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import Verdict
from sora_eval.runs.folder import RunFolder
from sora_eval.stats.power import ALPHA, holm
from sora_eval.util.collection import uncollected


@dataclass(frozen=True)
class Comparison:
    """A row per metric and slice, and warnings on all of them. `base` and `new` are the labels of the two runs.

    `sora_eval_reports.frames.comparison_frame` converts it to a pandas frame.
    """

    base: str
    new: str
    rows: tuple[Difference, ...]
    warnings: tuple[str, ...]
    drift: str = ""  # how many cases drifted, where the clips were compared

    @property
    def headline(self) -> str:
        """`61 of 64 cases drifted (PSNR 31 dB), no metric is worse`: drift, and the metrics of all cases that are worse after
        Holm's correction over those with a test; '' where the clips were not compared."""
        return f"{self.drift}, {self._damage()}" if self.drift else ""

    def _damage(self) -> str:
        tested = [r for r in self.rows if r.slice == "all" and r.status is None and not r.paired and not is_speed(r.metric)]
        tested = [r for r in tested if r.p is not None and r.higher_is_better is not None]
        if not tested:
            return "no metric has a test"
        adjusted = holm([r.p or 0.0 for r in tested])
        worse = [r.metric for r, p in zip(tested, adjusted, strict=True) if p <= ALPHA and better(r) == "base"]
        return f"worse: {', '.join(worse)}" if worse else "no metric is worse"


@uncollected()
def compare(base: RunFolder | RunData, new: RunFolder | RunData, slices: bool = False) -> Comparison:
    """Compare two runs; the clips too, where `sora_eval.fidelity` measured them. With `slices`, every metric also by shape,
    length and tag; speed always by shape.

    Raises RunError for a damaged run folder. Runs that cannot be compared give rows that say so.
    """
    a, b = data_of(base), data_of(new)
    labels = list(dict.fromkeys(part.label for data in (a, b) for part in data.slices)) if slices else ["all"]
    rows: list[Difference] = []
    paired = b.fidelity.outputs if b.fidelity is not None else ()
    for metric in paired:
        rows += [difference(a, b, metric, label) for label in labels]
    for metric in dict.fromkeys(m for data in (a, b) for m, _ in data.metrics):
        points = dict.fromkeys(label for data in (a, b) for m, label in data.metrics if m == metric)
        rows += [difference(a, b, metric, label) for label in (points if is_speed(metric) else labels)]
    warnings = [*_warnings(a, b), *(b.fidelity.warnings() if b.fidelity is not None else ())]
    return Comparison(a.label, b.label, tuple(rows), tuple(warnings), drift_of(b, a))


def _warnings(base: RunData, new: RunData) -> list[str]:
    a, b = base.head, new.head
    out = []
    if a.suite != b.suite:
        out.append(f"different suites: {a.suite} against {b.suite}")
    if a.seed_offset != b.seed_offset:
        out.append(f"different seeds: shifted by {a.seed_offset} against {b.seed_offset}")
    if a.hardware != b.hardware:
        out.append("different machines: speed is not comparable")
    if a.generator.fingerprint == b.generator.fingerprint:
        out.append(_same_generator(a.generator.not_covered or b.generator.not_covered))
    for name, data in (("base", base), ("new", new)):
        if why := data.incomplete():
            out.append(f"{name}: {why}")
        failed = [i for i, s in data.samples.items() if s.status == "error"]
        if failed:
            out.append(f"{name} has {len(failed)} failed cases of {len(data.samples)}, for example {min(failed)}")
        if data.samples and not data.texts and (base.texts or new.texts):
            out.append(f"{name} holds no text of any prompt: that both were asked the same is not checked")
    cases = [set(data.samples) for data in (base, new)]
    for name, only in (("base", cases[0] - cases[1]), ("new", cases[1] - cases[0])):
        if only:
            out.append(f"{len(only)} cases only in {name}, for example {min(only)}")
    return out


def _same_generator(not_covered: str) -> str:
    if not_covered:
        return f"both generators have the same fingerprint; it does not cover {not_covered}: differences may come from there"
    return "both runs have the same generator and weights: every difference is noise or settings"


WORDS = {
    Verdict.NOT_COMPARABLE: "not comparable",
    Verdict.MISSING: "only in base",
    Verdict.NO_BASELINE: "only in new",
    Verdict.ERROR: "no value",
    Verdict.INCONCLUSIVE: "no test",
}


def note_of(row: Difference) -> str:
    """The note on a difference, or the reason why there is none."""
    return row.note if row.status is None else f"{WORDS[row.status]}: {row.reason}"


def outcome(row: Difference) -> str:
    """`differs` or `identical` of a paired metric with a value; of other rows `base`, `new` or ''."""
    if row.paired and row.status is None:
        return "differs" if row.change else "identical"
    return better(row) or ""


def better(row: Difference) -> str | None:
    """`base` or `new` where the change is beyond noise: its interval excludes 0 and p is at most ALPHA; else None.

    None for paired metrics: that clips differ makes neither run better.
    """
    if row.paired:
        return None
    low, high = row.interval.low, row.interval.high
    beyond = low is not None and high is not None and (low > 0 or high < 0)
    if not beyond or row.p is None or row.p > ALPHA or row.higher_is_better is None or row.change is None:
        return None
    return "new" if (row.change > 0) == row.higher_is_better else "base"
