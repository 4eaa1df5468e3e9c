"""Scoring: every clip is decoded once and shown to every metric; the reference set passes by clip by clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sora_eval.clip import Clip, read_clip
from sora_eval.errors import ClipError, SoraEvalError, SuiteError
from sora_eval.features.base import ClipView, FeatureCache, Undefined
from sora_eval.generating import answers, request_of, sample_row
from sora_eval.generators import BringsClips, Generator, open_generator
from sora_eval.metrics import create
from sora_eval.metrics.base import ClipMetric, SetMetric
from sora_eval.progress import track
from sora_eval.runs import RunFolder
from sora_eval.suite import Case, Prompt, Suite

REFERENCE = "reference-"  # prefix of the feature files of the reference set


@dataclass
class Metrics:
    """The metrics of a suite that could be made, and why the others could not."""

    per_clip: dict[str, ClipMetric] = field(default_factory=dict)
    sets: dict[str, SetMetric] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def make_metrics(suite: Suite, prompts: Iterable[Prompt]) -> Metrics:
    """Create every metric; a missing weight is a reason in a row, not the end of the run."""
    made, prompts = Metrics(), list(prompts)
    for name, options in suite.metrics.items():
        try:
            metric = create(name, options)
        except SoraEvalError as error:
            made.missing[name] = str(error)
            continue
        if isinstance(metric, ClipMetric):
            metric.prepare(prompts)
            made.per_clip[name] = metric
        else:
            made.sets[name] = metric
    return made


def score(folder: RunFolder, suite: Suite, cases: list[Case], source: BringsClips | None = None) -> None:
    """Decode each clip once and show it to every metric. Clips that exist already are read here, straight from `source`.

    The rows of a case are appended together, so a killed run never holds half a case.
    """
    metrics = make_metrics(suite, suite.prompt_list or [c.prompt for c in cases])
    cache = FeatureCache()
    samples = {row["id"]: row for row in folder.rows("samples")}
    scored = {row["id"] for row in folder.rows("scores")}
    # Without a reference set there is nothing to measure a distance to.
    sets = metrics.sets if suite.reference is not None else {}
    vectors: dict[str, tuple[list[str], list[Any]]] = {name: ([], []) for name in sets}
    for case in track(cases, "score"):
        if source is not None and suite.axes is None:
            view, row = _read_native(case, source, cache)
            if case.id not in samples:
                folder.append("samples", [row])
                samples[case.id] = row
        else:
            view = _read_made(folder, case, samples.get(case.id), cache)
        rows = [] if case.id in scored else _score_rows(case, view, metrics)
        for name, metric in sets.items():
            try:
                if isinstance(view, str):
                    raise Undefined(f"no clip: {view}")
                vectors[name][1].append(metric.features(view))
                vectors[name][0].append(case.id)
            except Undefined as reason:
                status = "error" if isinstance(view, str) else "undefined"
                rows += [] if case.id in scored else [_score_row(case, name, None, status, str(reason), {}, metric.signature)]
        if rows:
            folder.append("scores", rows)
    for name, (ids, values) in vectors.items():
        folder.save_features(name, ids, np.array(values, np.float32).reshape(len(ids), -1))
    if sets:
        _reference_features(folder, suite, metrics, cache)


def _read_native(case: Case, source: BringsClips, cache: FeatureCache) -> tuple[ClipView | str, dict[str, Any]]:
    path = str(source.path(case).resolve())
    try:
        clip = source.read(case)
    except (ClipError, MemoryError) as error:
        return str(error), sample_row(case, None, path, str(error))
    return ClipView(clip, case, cache), sample_row(case, clip, path, "")


def _read_made(folder: RunFolder, case: Case, row: dict[str, Any] | None, cache: FeatureCache) -> ClipView | str:
    if row is None:
        return "it was not generated; use --resume"
    if row["status"] != "ok":
        return str(row["error"])
    try:
        clip = read_clip(folder.path / row["clip"])
    except ClipError as error:
        return str(error)
    if clip.sha256 != row["sha256"]:
        return f"{row['clip']} has changed since it was made"
    return ClipView(clip, case, cache)


def _score_row(
    case: Case, name: str, value: float | None, status: str, reason: str, detail: dict[str, Any], signature: str
) -> dict[str, Any]:
    return {
        "id": case.id,
        "metric": name,
        "value": value,
        "status": status,
        "reason": reason,
        "detail": detail,
        "signature": signature,
    }


def _score_rows(case: Case, view: ClipView | str, metrics: Metrics) -> list[dict[str, Any]]:
    rows = []
    for metric in metrics.per_clip.values():
        names = [o.name for o in metric.outputs]
        if isinstance(view, str):
            rows += [_score_row(case, n, None, "error", f"no clip: {view}", {}, metric.signature) for n in names]
            continue
        try:
            scores = metric.score(view)
        except Undefined as reason:
            rows += [_score_row(case, n, None, "undefined", str(reason), {}, metric.signature) for n in names]
            continue
        for name in names:
            s = scores[name]
            if s.value is not None and not np.isfinite(s.value):
                rows.append(_score_row(case, name, None, "error", f"the metric gave {s.value}", s.detail, metric.signature))
            else:
                status = "undefined" if s.value is None else "ok"
                rows.append(_score_row(case, name, s.value, status, s.reason, s.detail, metric.signature))
    return rows


def _reference_features(folder: RunFolder, suite: Suite, metrics: Metrics, cache: FeatureCache) -> None:
    """The reference set's vectors, clip by clip; the clips themselves are not kept."""
    assert suite.reference is not None
    if all(folder.load_features(REFERENCE + name) for name in metrics.sets):
        return
    generator = open_generator(suite.reference.generator)
    kept: dict[str, tuple[list[str], list[Any]]] = {name: ([], []) for name in metrics.sets}
    failed: list[str] = []
    for case, answer in track(*_reference_clips(suite, generator)):
        if isinstance(answer, str):
            failed.append(f"{case.id}: {answer}")
            continue
        view = ClipView(answer, case, cache)
        for name, metric in metrics.sets.items():
            try:
                kept[name][1].append(metric.features(view))
                kept[name][0].append(case.id)
            except Undefined as reason:
                failed.append(f"{case.id}: {reason}")
    source = np.array(f"{suite.reference.generator}|{generator.fingerprint()}|seed+{suite.reference.seed_offset}")
    for name, (ids, values) in kept.items():
        array = np.array(values, np.float32).reshape(len(ids), -1)
        folder.save_features(REFERENCE + name, ids, array, failed=np.array(failed, np.str_), source=source)


def _reference_clips(suite: Suite, generator: Generator) -> tuple[Iterator[tuple[Case, Clip | str]], str, int]:
    """(clips, what to call them, how many): the generator's own, or its answers to the suite's cases."""
    assert suite.reference is not None
    offset, copies = suite.reference.seed_offset, suite.reference.copies
    if suite.axes is None:
        if not isinstance(generator, BringsClips):
            raise SuiteError(f"{suite.path}: [reference].generator must bring clips, for example 'folder:PATH'")
        own = generator.cases()

        def read() -> Iterator[tuple[Case, Clip | str]]:
            for case in own:
                try:
                    yield case, generator.read(case)
                except ClipError as error:
                    yield case, str(error)

        return read(), "reference", len(own)

    def make() -> Iterator[tuple[Case, Clip | str]]:
        for case in suite.cases:
            for copy in range(copies):
                yield case, answers(generator, [request_of(case, suite, offset + copy)])[0]

    return make(), "reference", len(suite.cases) * copies
