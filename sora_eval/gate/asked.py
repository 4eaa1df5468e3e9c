"""What a gate asks of a run: one test per row of the verdict. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sora_eval.compare.run_data import RunData
from sora_eval.records.speed_metrics import is_speed
from sora_eval.suite import Gate


@dataclass(frozen=True)
class Asked:
    """A gate on one slice, by its limits or by its window."""

    metric: str
    slice: str
    spec: Gate
    window: bool

    @property
    def limit(self) -> str:
        """The allowed change, or the window, as text."""
        if self.window and self.spec.window is not None:
            return f"{self.spec.window[0]:g} .. {self.spec.window[1]:g}"
        ends = (("+", self.spec.max_increase), ("-", self.spec.max_decrease))
        return ", ".join(f"{sign}{limit:g} %" for sign, limit in ends if limit is not None)


def asked(metric: str, spec: Gate, base: RunData | None, new: RunData) -> list[Asked]:
    """The tests of one gate: by its limits and by its window, of speed one per shape, and one per tag."""
    labels = [spec.slice]
    if is_speed(metric) and spec.slice == "all":  # speed has no value over all shapes: one row per shape
        runs = [s for s in (base, new) if s is not None]
        labels = list(dict.fromkeys(label for run in runs for m, label in run.metrics if m == metric)) or ["all"]
    limits = spec.max_increase is not None or spec.max_decrease is not None
    tests = [
        Asked(metric, label, spec, window)
        for label in labels
        for window in [False] * limits + [True] * (spec.window is not None)
    ]
    return tests + [Asked(metric, tag, spec.of_tag(tag), False) for tag in _tags(spec, base or new)]


def _tags(spec: Gate, data: RunData) -> list[str]:
    """The tags that a gate has a row for."""
    if spec.tags is None:
        return []
    tags = (part for part in data.slices if part.kind == "tag")
    return [tag.label for tag in tags if len({data.clusters[i] for i in tag.ids}) >= spec.tags.least]
