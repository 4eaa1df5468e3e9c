"""Measures the scale of a suite: every metric on trivial clips, on perfect ones and on oracles, for the suite's own cases.

Perfect clips are the reference generator's answers to the cases under the run's own seeds, so that a distance has the n of a
run; of a folder of real clips they are these clips; without a reference set those of the first oracle, or of the world, if all
prompts have its facts. Frozen and shuffled clips are made of them; black clips and noise have their shapes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from sora_eval.features.view import Array, FeatureCache
from sora_eval.generators.asking import answers_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.metrics.asking import features_of
from sora_eval.metrics.base import SetMetric
from sora_eval.metrics.create import Metrics, make_metrics
from sora_eval.pipeline.reference import open_reference
from sora_eval.pipeline.score import reference_set
from sora_eval.pipeline.score_clip import Views, score_rows, signature_of
from sora_eval.pipeline.summarise_sets import hash_of
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.records.scale import PERFECT, TRIVIAL_MARKS, Mark, MetricScale, Scale
from sora_eval.runs.scales import clips_hash, from_folder, keep_scale, key_of, known_scale
from sora_eval.suite import Suite
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import MetricError, SuiteError, Undefined
from sora_eval.util.progress import Estimate, announce, track
from sora_eval.video.corruptions import trivial

WORLD, VAE = "world", "vae"
_TRIVIAL = {"frozen": "static"}  # the corruption's name, where it differs
_HALVES = "a folder of real clips has no second one to be compared with at this n; kvd and mmd do not depend on n"


def scale_for(suite: Suite) -> Scale:
    """The scale of a suite: a known one, where it has all of the suite's metrics, else measured now and kept by content.

    Raises SuiteError where no perfect clips are known.
    """
    if not from_folder(suite) and (known := known_scale(key_of(suite))) is not None and not _missing(suite, known):
        return known
    key, scale = measured(suite)
    try:
        keep_scale(key, scale)
    except OSError as error:
        warn_once(f"the scale of {suite.suite.id} is not kept: {error.strerror or error}")
    return scale


def measured(suite: Suite) -> tuple[str, Scale]:
    """The key of a suite's scale, and the scale; what it costs is said before, how long it takes after three cases."""
    work = _Work(suite)
    count, kinds = len(work.perfect), work.kinds
    what = f"the scale of {suite.suite.id}: {count} cases x {len(kinds)} kinds of clips ({', '.join(kinds)})"
    announce(f"{what} are scored by {len(suite.metrics)} metrics, once; how long it takes is said after three cases")
    estimate = Estimate("the scale")
    for done, (case, clip) in enumerate(track(work.perfect.clips(), "scale", count), 1):
        started = time.monotonic()
        work.add(case, clip)
        estimate.unit(time.monotonic() - started, count - done)
    return work.result()


def _missing(suite: Suite, known: Scale) -> bool:
    """Whether a metric of the suite has no scale under its present signature."""
    metrics = make_metrics(suite.metrics, suite.prompt_list)
    sets = metrics.sets if suite.reference is not None else {}
    signatures = {name: scale.signature for name, scale in known.metrics.items()}
    wanted = {m.outputs[0].name: signature_of(name, m, suite) for name, m in metrics.per_clip.items()}
    wanted_sets = {m.outputs[0].name: f"{signature_of(name, m, suite)}|reference:" for name, m in sets.items()}
    return any(signatures.get(name) != signature for name, signature in wanted.items()) or any(
        not signatures.get(name, "").startswith(signature) for name, signature in wanted_sets.items()
    )


@dataclass(frozen=True)
class _Perfect:
    """The source of perfect clips: a generator asked under the run's seeds, or the reference set itself (`real`)."""

    suite: Suite
    generator: Generator
    real: bool

    def clips(self) -> Iterator[tuple[Case, Clip | str]]:
        if self.real:
            yield from reference_set(self.suite, self.generator, None)[0]
            return
        for case in self.suite.cases:
            yield case, answers_of(self.generator, self.suite, [case])[0]

    def __len__(self) -> int:
        return reference_set(self.suite, self.generator, None)[1] if self.real else len(self.suite.cases)


def _perfect(suite: Suite) -> tuple[_Perfect, str]:
    """The perfect clips of a suite, and the spec that they come from. Raises SuiteError where none are known."""
    if suite.reference is not None:
        generator = open_reference(suite)
        return _Perfect(suite, generator, isinstance(generator, ClipSource)), suite.reference.generator
    if suite.axes is not None and (spec := _first_oracle(suite)):
        return _Perfect(suite, open_generator(spec), False), spec
    raise SuiteError(
        f"{suite.path}: no perfect clips are known, so there is no scale; name some: [reference] with generator = "
        '"folder:REAL", or [oracles] with a generator that cannot do better'
    )


def _first_oracle(suite: Suite) -> str:
    if suite.oracles is not None:
        return suite.oracles.generators[0]
    return WORLD if of_world(suite) else ""


def of_world(suite: Suite) -> bool:
    """Whether every prompt of a suite has facts that the world renders."""
    return bool(suite.prompt_list) and all(p.facts and "gravity" in p.facts for p in suite.prompt_list)


@dataclass
class _Seen:
    """The scores by output and the vectors by set metric of one kind of clips."""

    scores: dict[str, list[float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, list[Array]] = field(default_factory=dict)


class _Work:
    """A scale in the making: scores and vectors by kind of clips."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.perfect, spec = _perfect(suite)
        named = suite.oracles.generators if suite.oracles else [VAE] if spec == WORLD else []
        self._oracles = {s: open_generator(s) for s in named if s != spec} if suite.axes is not None else {}
        self.kinds = [PERFECT, *self._oracles, *TRIVIAL_MARKS]
        self._metrics: Metrics = make_metrics(suite.metrics, suite.prompt_list)
        self._sets = self._metrics.sets if suite.reference is not None else {}
        self._per_clip = {n: signature_of(n, m, suite) for n, m in self._metrics.per_clip.items()}
        self._seen = {kind: _Seen() for kind in self.kinds}
        self._clips: list[str] = []
        self._cache = FeatureCache()

    def add(self, case: Case, clip: Clip | str) -> None:
        """Score the perfect clip of a case, the trivial ones that are made of it, and the oracles' answers."""
        if isinstance(clip, str):
            warn_once(f"the scale leaves out {case.id}: {clip}")
            return
        self._clips.append(clip.sha256)
        self._score(PERFECT, case, clip)
        for kind in TRIVIAL_MARKS:
            self._score(kind, case, trivial(clip, _TRIVIAL.get(kind, kind), case.id))
        for spec, generator in self._oracles.items():
            answer = answers_of(generator, self.suite, [case])[0]
            if isinstance(answer, Clip):
                self._score(spec, case, answer)

    def _score(self, kind: str, case: Case, clip: Clip) -> None:
        seen, views = self._seen[kind], Views(clip, case, self.suite, self._cache)
        for row in score_rows(case, views, self._metrics.per_clip, self._per_clip):
            if row.value is None:
                seen.reasons[row.metric] = row.reason
            else:
                seen.scores.setdefault(row.metric, []).append(row.value)
        for name, metric in self._sets.items():
            with suppress(Undefined, MetricError):
                seen.vectors.setdefault(name, []).append(features_of(name, metric, views.of(name)))

    def result(self) -> tuple[str, Scale]:
        """The key and the scale."""
        metrics: dict[str, MetricScale] = {}
        for name, metric in self._metrics.per_clip.items():
            for output in metric.outputs:
                marks = {}
                for kind, seen in self._seen.items():
                    values = seen.scores.get(output.name, [])
                    mean = output.cut(float(np.mean(values))) if values else None
                    marks[kind] = Mark(mean, len(values), "" if values else seen.reasons.get(output.name, "no clip"))
                metrics[output.name] = MetricScale(self._per_clip[name], output.higher_is_better, marks)
        reference = self._reference()
        for name, of_sets in self._sets.items():
            vectors, clips = reference[name]
            signature = f"{signature_of(name, of_sets, self.suite)}|reference:{hash_of(clips)}"
            marks = {k: self._set_mark(of_sets, k, seen.vectors.get(name, []), vectors) for k, seen in self._seen.items()}
            first, of_n = of_sets.outputs[0], not of_sets.statistic.is_unbiased
            metrics[first.name] = MetricScale(signature, first.higher_is_better, marks, of_n)
        key = key_of(self.suite, clips_hash(self._clips) if from_folder(self.suite) else "")
        return key, Scale(self.suite.suite.id, len(self._clips), metrics)

    def _set_mark(self, metric: SetMetric, kind: str, vectors: list[Array], real: list[Array]) -> Mark:
        n = len(vectors)
        if min(n, len(real)) < metric.least:
            return Mark(None, n, f"{n} clips and {len(real)} reference clips; at least {metric.least} of each are needed")
        if self.perfect.real and kind == PERFECT:  # the set against itself
            return Mark(0.0, n) if metric.statistic.is_unbiased else Mark(None, n, _HALVES)
        metric.reset()
        metric.update(np.stack(vectors))
        metric.update(np.stack(real), real=True)
        return Mark(float(metric.compute()), n)

    def _reference(self) -> dict[str, tuple[list[Array], list[str]]]:
        """By set metric the vectors and the hashes of the reference clips."""
        found: dict[str, tuple[list[Array], list[str]]] = {name: ([], []) for name in self._sets}
        if not self._sets:
            return found
        clips, number = reference_set(self.suite, open_reference(self.suite), None)
        for case, clip in track(clips, "reference", number):
            if isinstance(clip, str):
                continue
            views = Views(clip, case, self.suite, self._cache, real=True)
            for name, metric in self._sets.items():
                with suppress(Undefined, MetricError):
                    found[name][0].append(features_of(name, metric, views.of(name)))
                    found[name][1].append(clip.sha256)
        return found
