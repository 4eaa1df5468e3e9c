"""Scoring of one clip, decoded once for all metrics. It writes nothing; `pipeline.score` follows the plan and writes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sora_eval.features.view import Array, ClipView, FeatureCache
from sora_eval.generators.asking import clip_of, request_of
from sora_eval.generators.protocol import ClipSource
from sora_eval.metrics.asking import features_of, scores_of
from sora_eval.metrics.base import ClipMetric, SetMetric
from sora_eval.metrics.create import make_metrics
from sora_eval.pipeline.canonical import on_canvas
from sora_eval.pipeline.generate import sample_row
from sora_eval.records.bucket import Bucket
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.registry.metrics import metric_info
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, ScoreRow, Status
from sora_eval.suite import Suite
from sora_eval.util.errors import ClipError, MetricError, RunError, Undefined
from sora_eval.video.codec import read_clip

THREADS = 4  # of a scorer: clips that are read, flows and tracks; they wait for each other's cores at times


def signature_of(name: str, metric: ClipMetric | SetMetric, suite: Suite) -> str:
    """A metric's signature in a suite: its own, with the canonical canvas if it is scored on one."""
    canvas = suite.canonical.signature if suite.canonical and not metric_info(name).pixels else ""
    return metric.signature + canvas


@dataclass(frozen=True)
class ClipResult:
    """The results of one clip: its row of samples if it comes from a folder, rows of scores, and vectors (D,) by set metric."""

    sample: SampleRow | None
    rows: list[ScoreRow]
    vectors: dict[str, Array]
    missing: frozenset[str]  # metrics that could not be created


@dataclass(frozen=True)
class ReferenceResult:
    """The results of a reference clip: vectors (D,) by set metric, reasons of missing ones, bucket and hash of its frames."""

    vectors: dict[str, Array]
    failed: tuple[str, ...]
    bucket: str = ""
    sha256: str = ""


class Scorer:
    """Scores one clip at a time. It writes nothing, and keeps no clip after its score."""

    def __init__(self, folder: RunFolder, suite: Suite, prompts: list[Prompt], source: ClipSource | None) -> None:
        self.folder, self.suite, self.source = folder, suite, source
        self.metrics = make_metrics(suite.metrics, prompts)
        self._threads = ThreadPoolExecutor(THREADS, "scoring")
        self._reading: dict[str, Future[tuple[Clip | str, SampleRow | None]]] = {}
        self.cache, self._seed_offset = FeatureCache(), folder.head.seed_offset
        # A distance needs a reference set.
        self.sets = self.metrics.sets if suite.reference is not None else {}
        metrics_by_name: dict[str, ClipMetric | SetMetric] = {**self.metrics.per_clip, **self.sets}
        self.signatures = {name: signature_of(name, metric, suite) for name, metric in metrics_by_name.items()}

    def case(
        self, case: Case, sample: SampleRow | None, with_scores: bool, following: tuple[Case, SampleRow | None] | None = None
    ) -> ClipResult:
        """Score a clip of the run; `sample` is its row, None before it exists. Rows of scores only `with_scores`.

        The clip that is `following` is read in a thread meanwhile.
        """
        begun = self._reading.pop(case.id, None)
        clip, read = begun.result() if begun is not None else self._read(case, sample)
        if following is not None:
            self._reading = {following[0].id: self._threads.submit(self._read, *following)}
        views = clip if isinstance(clip, str) else Views(clip, case, self.suite, self.cache, seed_offset=self._seed_offset)
        if with_scores and isinstance(views, Views):
            self._begin(views)
        rows, vectors = list[ScoreRow](), dict[str, Array]()
        for name, metric in self.sets.items():
            try:
                vectors[name] = self._features(name, views)
            except (Undefined, MetricError) as reason:
                status: Status = "undefined" if isinstance(reason, Undefined) and not isinstance(views, str) else "error"
                if with_scores:
                    rows.append(_score_row(case, metric.outputs[0].name, None, status, str(reason), {}, self.signatures[name]))
        if with_scores:  # after the networks of sets, beside which the threads have computed
            rows = score_rows(case, views, self.metrics.per_clip, self.signatures) + rows
        return ClipResult(None if sample else read, rows, vectors, frozenset(self.metrics.missing))

    def lost(self, case: Case, sample: SampleRow | None, reason: str) -> ClipResult:
        """The result of a clip that no process could score: an error of every metric."""
        if sample is None and self.source is not None:
            sample_made = sample_row(case, None, str(self.source.path(case).resolve()), reason)
        else:
            sample_made = None
        outputs = [(o.name, name) for name, metric in self.metrics.per_clip.items() for o in metric.outputs]
        outputs += [(metric.outputs[0].name, name) for name, metric in self.sets.items()]
        rows = [_score_row(case, output, None, "error", reason, {}, self.signatures[name]) for output, name in outputs]
        return ClipResult(sample_made, rows, {}, frozenset(self.metrics.missing))

    def _read(self, case: Case, sample: SampleRow | None) -> tuple[Clip | str, SampleRow | None]:
        """The clip of a case, or why there is none, and its row where it comes from a folder."""
        if self.source is not None and self.suite.axes is None:
            return _read_native(case, self.source, sample)
        return _read_made(self.folder, case, sample), None

    def _begin(self, views: Views) -> None:
        """Start in threads what the per-clip metrics need and what no network computes."""
        for name, metric in self.metrics.per_clip.items():
            extractor: Any = getattr(metric, "extractor", None)
            if getattr(extractor, "beside_networks", False):
                with suppress(Undefined):
                    views.of(name).begin(extractor, self._threads)

    def reference(self, case: Case, clip: Clip | str) -> tuple[Case, ReferenceResult]:
        """The results of a reference clip; `clip` may be the reason why there is none."""
        if isinstance(clip, str):
            return case, ReferenceResult({}, (f"{case.id}: {clip}",))
        views, vectors, failed = Views(clip, case, self.suite, self.cache, real=True), {}, []
        for name in self.sets:
            try:
                vectors[name] = self._features(name, views)
            except (Undefined, MetricError) as reason:
                failed.append(f"{case.id}: {reason}")
        bucket = Bucket(clip.width, clip.height, clip.num_frames, clip.fps)
        return case, ReferenceResult(vectors, tuple(failed), str(bucket), clip.sha256)

    def _features(self, name: str, views: Views | str) -> Array:
        if isinstance(views, str):
            raise Undefined(f"no clip: {views}")
        return features_of(name, self.sets[name], views.of(name))


def score_rows(
    case: Case, views: Views | str, metrics: Mapping[str, ClipMetric], signatures: Mapping[str, str]
) -> list[ScoreRow]:
    """Rows of scores.jsonl: every output of the per-clip metrics on one clip, or errors with the reason why there is none."""
    rows: list[ScoreRow] = []
    for name, metric in metrics.items():
        outputs, signature = [o.name for o in metric.outputs], signatures[name]
        if isinstance(views, str):
            rows += [_score_row(case, n, None, "error", f"no clip: {views}", {}, signature) for n in outputs]
            continue
        try:
            scores = scores_of(name, metric, views.of(name))
        except (Undefined, MetricError) as reason:
            why: Status = "undefined" if isinstance(reason, Undefined) else "error"
            rows += [_score_row(case, n, None, why, str(reason), {}, signature) for n in outputs]
            continue
        for output in outputs:
            s = scores[output]
            if s.value is not None and not np.isfinite(s.value):
                rows.append(_score_row(case, output, None, "error", f"the metric gave {s.value}", s.detail, signature))
            else:
                status: Status = "undefined" if s.value is None else "ok"
                rows.append(_score_row(case, output, s.value, status, s.reason, s.detail, signature))
    return rows


class Views:
    """A clip unchanged, and on the canonical canvas if the suite has one; each view is made at most once.

    `real` marks one of the reference set; `seed_offset` is that of the
    seeds by which the clip was asked for, None where these are not known.
    """

    def __init__(
        self,
        clip: Clip,
        case: Case,
        suite: Suite,
        cache: FeatureCache | None = None,
        *,
        real: bool = False,
        seed_offset: int | None = None,
    ) -> None:
        known = seed_offset is not None and case.width is not None and not real
        request = partial(request_of, case, suite, seed_offset or 0) if known else None
        self._native, self._canvas = ClipView(clip, case, cache, real=real, request=request), suite.canonical
        self._cache = cache
        self._canonical: ClipView | Undefined | None = None

    def of(self, metric: str) -> ClipView:
        """The view for a metric. Raises Undefined for a clip that does not fill the canvas."""
        if self._canvas is None or metric_info(metric).pixels:
            return self._native
        if self._canonical is None:
            try:
                clip = on_canvas(self._native.clip, self._canvas)
                self._canonical = ClipView(clip, self._native.case, self._cache, real=self._native.real)
            except Undefined as reason:
                self._canonical = reason
        if isinstance(self._canonical, Undefined):
            raise self._canonical
        return self._canonical


def _read_native(case: Case, source: ClipSource, row: SampleRow | None) -> tuple[Clip | str, SampleRow]:
    """The clip of a case, or why there is none, and its row; a clip other than that of the `row` it has already is none."""
    path = source.path(case).resolve()
    clip = clip_of(source, case)
    if isinstance(clip, str):
        return clip, sample_row(case, None, str(path), clip)
    if row is not None and (clip.sha256, clip.fps) != (row.sha256, row.fps):
        why = "is not the clip of this run: the file, or what decodes it, has changed; start a new run"
        return f"{path.name} {why}", row
    return clip, sample_row(case, clip, str(path), "")


def _read_made(folder: RunFolder, case: Case, row: SampleRow | None) -> Clip | str:
    if row is None:
        return "it was not generated; use --resume"
    if row.status != "ok":
        return row.error
    try:
        clip = read_clip(folder.clip_file(row.clip))
    except (ClipError, RunError) as error:
        return str(error)
    if clip.sha256 != row.sha256:
        return f"{row.clip} has changed since it was made"
    return clip


def _score_row(
    case: Case, name: str, value: float | None, status: Status, reason: str, detail: dict[str, Any], signature: str
) -> ScoreRow:
    number = None if value is None else float(value)
    return ScoreRow(id=case.id, metric=name, value=number, status=status, reason=reason, detail=detail, signature=signature)
