"""Scoring of clips, each decoded once for all metrics. It writes nothing; `pipeline.score` follows the plan and writes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np

from sora_eval.features.view import Array, ClipView, FeatureCache, compute_together
from sora_eval.generators.asking import clip_of, request_of
from sora_eval.generators.protocol import ClipSource
from sora_eval.metrics.asking import code_of, features_of, scores_of
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
from sora_eval.util.stages import ALL, asked_by, is_counting, is_measured, stage
from sora_eval.video.codec import read_clip

THREADS = min(4, os.cpu_count() or 1)  # of a scorer, for flows and tracks
ROOM = 1 << 30  # bytes of frames of clips that are scored at a time; one clip may have more


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


Job = tuple[Case, SampleRow | None, bool]  # a case, its row if it has one, and whether its scores are asked for


@dataclass(frozen=True)
class _Read:
    """A job with its clip, or why there is none; `row` is the row of samples of a clip of a folder."""

    job: Job
    views: Views | str
    row: SampleRow | None


class Scorer:
    """Scores clips one by one, or several at a time where networks take them. It writes nothing, and keeps no clip after its
    score.

    While stages are counted (`util.stages`), nothing runs beside anything; while they are measured in any way, features do not
    come from the cache.
    """

    def __init__(
        self, folder: RunFolder, suite: Suite, prompts: list[Prompt], source: ClipSource | None, seed_offset: int = 0
    ) -> None:
        self.folder, self.suite, self.source, self._seed_offset = folder, suite, source, seed_offset
        self.metrics = make_metrics(suite.metrics, prompts)
        self._threads = None if is_counting() else ThreadPoolExecutor(THREADS, "scoring")
        # Apart from those: the next clip waits for no flow of this one.
        self._reader = None if is_counting() else ThreadPoolExecutor(1, "reading")
        self._reading: dict[str, Future[_Read]] = {}
        self.cache = None if is_measured() else FeatureCache()
        # A distance needs a reference set.
        self.sets = self.metrics.sets if suite.reference is not None else {}
        metrics_by_name: dict[str, ClipMetric | SetMetric] = {**self.metrics.per_clip, **self.sets}
        self.signatures = {name: signature_of(name, metric, suite) for name, metric in metrics_by_name.items()}

    def case(self, case: Case, sample: SampleRow | None, with_scores: bool) -> ClipResult:
        """Score a clip of the run; `sample` is its row, None before it exists. Rows of scores only `with_scores`."""
        (result,) = self.cases([(case, sample, with_scores)])
        return result

    def cases(self, jobs: Sequence[Job], following: Job | None = None) -> list[ClipResult]:
        """The results of several jobs, as `case` gives them; networks of sets see their clips together, at most `ROOM` bytes
        of frames at a time.

        The clip that follows is read and prepared in threads meanwhile.
        """
        results, group = list[ClipResult](), list[_Read]()
        for job, after in zip_longest(jobs, jobs[1:], fillvalue=following):
            assert job is not None
            with asked_by(ALL):
                group.append(self._taken(job))
            if after is not None and self._reader is not None:
                self._reading = {after[0].id: self._reader.submit(self._read, after)}
            if job is jobs[-1] or sum(r.views.bytes for r in group if isinstance(r.views, Views)) > ROOM:
                self._together([r.views for r in group if isinstance(r.views, Views)])
                with asked_by(ALL):
                    results += [self._scored(each) for each in group]
                group = []
        return results

    def _taken(self, job: Job) -> _Read:
        begun = self._reading.pop(job[0].id, None)
        return begun.result() if begun is not None else self._read(job)

    def _scored(self, read: _Read) -> ClipResult:
        (case, sample, with_scores), views = read.job, read.views
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
        return ClipResult(None if sample else read.row, rows, vectors, frozenset(self.metrics.missing))

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

    def _read(self, job: Job) -> _Read:
        """The clip of a job, or why there is none; what its metrics need and no network computes begins in threads."""
        case, sample, with_scores = job
        row: SampleRow | None = None
        if self.source is not None and self.suite.axes is None:
            clip, row = _read_native(case, self.source, sample)
        else:
            clip = _read_made(self.folder, case, sample)
        if isinstance(clip, str):
            return _Read(job, clip, row)
        views = Views(clip, case, self.suite, self.cache, seed_offset=self._seed_offset)
        self._expect(views, {**self.sets, **self.metrics.per_clip} if with_scores else self.sets)
        return _Read(job, views, row)

    def _expect(self, views: Views, metrics: Mapping[str, ClipMetric | SetMetric]) -> None:
        """Tell each view of a clip what its metrics will ask for."""
        by_view: dict[ClipView, list[Any]] = {}
        for name, metric in metrics.items():
            extractor = getattr(metric, "extractor", None)
            if extractor is None:
                continue
            with suppress(Undefined):
                view = views.of(name)
                by_view.setdefault(metric.seen(view) if isinstance(metric, SetMetric) else view, []).append(extractor)
        for view, extractors in by_view.items():
            view.expect(extractors, self._threads, self._reader)

    def reference(self, case: Case, clip: Clip | str) -> tuple[Case, ReferenceResult]:
        """The results of a reference clip; `clip` may be the reason why there is none."""
        (result,) = self.references([(case, clip)])
        return result

    def references(self, clips: Sequence[tuple[Case, Clip | str]]) -> list[tuple[Case, ReferenceResult]]:
        """The results of several reference clips, which the networks see together."""
        pairs = [(case, c if isinstance(c, str) else Views(c, case, self.suite, self.cache, real=True)) for case, c in clips]
        self._together([views for _, views in pairs if isinstance(views, Views)])
        with asked_by(ALL):
            return [(case, self._reference(case, views)) for case, views in pairs]

    def _reference(self, case: Case, views: Views | str) -> ReferenceResult:
        if isinstance(views, str):
            return ReferenceResult({}, (f"{case.id}: {views}",))
        vectors, failed, clip = {}, [], views.clip
        for name in self.sets:
            try:
                vectors[name] = self._features(name, views)
            except (Undefined, MetricError) as reason:
                failed.append(f"{case.id}: {reason}")
        bucket = Bucket(clip.width, clip.height, clip.num_frames, clip.fps)
        return ReferenceResult(vectors, tuple(failed), str(bucket), clip.sha256)

    def _together(self, clips: Sequence[Views]) -> None:
        """Compute what the networks of sets give for several clips; what has no value there says why when it is asked."""
        if len(clips) < 2:
            return
        for name, metric in self.sets.items():
            extractor: Any = getattr(metric, "extractor", None)
            if hasattr(extractor, "of_prepared"):
                with asked_by(name), suppress(Undefined, MetricError), code_of(name):
                    compute_together(extractor, [metric.seen(view) for view in _of_all(clips, name)])

    def _features(self, name: str, views: Views | str) -> Array:
        if isinstance(views, str):
            raise Undefined(f"no clip: {views}")
        with asked_by(name):
            return features_of(name, self.sets[name], views.of(name))


def _of_all(clips: Sequence[Views], metric: str) -> Iterator[ClipView]:
    for views in clips:
        with suppress(Undefined):
            yield views.of(metric)


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
            with asked_by(name):
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

    `real` marks one of the reference set; `seed_offset` is that of the seeds by which the clip was asked for, None where these
    are not known.
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

    @property
    def clip(self) -> Clip:
        """The clip unchanged."""
        return self._native.clip

    @property
    def bytes(self) -> int:
        """Memory of its frames."""
        return self.clip.frames.nbytes

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
    with stage("decode"):
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
        with stage("decode"):
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
