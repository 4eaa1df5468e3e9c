"""The slices of a run's summary: all cases, and those of each bucket."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sora_eval.pipeline.generate import sample_row
from sora_eval.records.bucket import Axis, Bucket, Pooling, pooling_of
from sora_eval.records.case import Case
from sora_eval.runs import slices
from sora_eval.runs.rows import SampleRow


@dataclass(frozen=True)
class Slice:
    """The cases of one row. `buckets` is by case id, of all cases of the run with a known shape; `failed` have no clip,
    `clips` are the hashes of the frames of the others."""

    label: str
    ids: Sequence[str]
    buckets: Mapping[str, Bucket]
    failed: Collection[str] = ()
    clips: Mapping[str, str] = field(default_factory=dict)

    def pooling(self, ids: Sequence[str], sensitive: tuple[Axis, ...]) -> Pooling:
        """The bucket columns of a row of these cases, for a metric that is sensitive to these axes."""
        return pooling_of([self.buckets[i] for i in ids if i in self.buckets], sensitive)


def summary_slices(cases: Sequence[Case], samples: Mapping[str, SampleRow]) -> list[Slice]:
    """All cases, and a slice per bucket if there are several. A case without a clip belongs to the requested bucket."""
    rows = [samples.get(c.id) or sample_row(c, None, "", "not generated") for c in cases]
    buckets = {r.id: r.bucket for r in rows if r.bucket is not None}
    failed = {r.id for r in rows if r.status == "error"}
    clips = {r.id: r.sha256 for r in rows if r.sha256 is not None}
    return [Slice(s.label, s.ids, buckets, failed, clips) for s in slices.slices_of(rows, ("all", "shape"))]
