"""Scoring: every clip is decoded once for all metrics; the reference set is read clip by clip.

Only this module writes the rows of scores, and they end in the order of the plan, whichever process scored a clip. Of a clip
only rows and vectors stay in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice, zip_longest
from typing import TypeVar

import numpy as np

from sora_eval.features.device import clips_at_a_time, where
from sora_eval.features.shipped import unlike_shipped
from sora_eval.features.view import Array
from sora_eval.generators.asking import answers_of, clip_of
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.pipeline.again import in_plan_order
from sora_eval.pipeline.reference import open_reference
from sora_eval.pipeline.score_clip import ClipResult, Job, ReferenceResult, Scorer
from sora_eval.pipeline.workers import Workers
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.registry.metrics import metric_info, outputs_of
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import Shard
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.runs.vectors import REFERENCE
from sora_eval.suite import Suite
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import SuiteError
from sora_eval.util.progress import track

T = TypeVar("T")
ScoreReference = Callable[[Iterable[tuple[Case, Clip | str]]], Iterable[tuple[Case, ReferenceResult]]]


class _Vectors:
    """Vectors by metric with the ids of their cases, in the order of `add`."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {}
        self.values: dict[str, list[Array]] = {}
        self.buckets: dict[str, list[str]] = {}
        self.clips: dict[str, list[str]] = {}  # sha256 of their frames

    def add(self, case: Case, vectors: dict[str, Array], bucket: str = "", clip: str = "") -> None:
        for name, value in vectors.items():
            self.ids.setdefault(name, []).append(case.id)
            self.values.setdefault(name, []).append(value)
            self.buckets.setdefault(name, []).append(bucket)
            self.clips.setdefault(name, []).append(clip)

    def of(self, name: str) -> tuple[list[str], Array]:
        ids = self.ids.get(name, [])
        values = np.array(self.values.get(name, []), np.float32)
        return ids, values.reshape(len(ids), -1) if ids else np.empty((0, 0), np.float32)


def score(folder: RunFolder, suite: Suite, cases: list[Case], source: ClipSource | None = None, workers: int = 1) -> None:
    """Score each clip with every metric, and write rows and vectors. Clips of a folder are read directly from `source`.

    The numbers do not depend on the number of `workers`, processes that score. Raises SuiteError for a reference generator
    without clips, RunError if a worker dies.
    """
    folder.update_head(networks=where())
    scoring = Scoring(folder, suite, cases, source)
    with Workers(scoring.scorer, workers) as pool:
        size = clips_at_a_time()
        groups = list(groups_of([scoring.job(case) for case in cases], size))
        # A single worker knows the clip that follows.
        following = [group[0] for group in groups[1:]] if workers == 1 else []
        results = chain.from_iterable(pool.map(Scorer.cases, zip_longest(groups, following)))
        for case, result in zip(cases, track(results, "score", len(cases)), strict=True):
            scoring.add(case, result)
        scoring.end(
            lambda clips: chain.from_iterable(pool.map(Scorer.references, ((group,) for group in groups_of(clips, size))))
        )


def groups_of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive items, `size` at a time.

    >>> list(groups_of("abc", 2))
    [['a', 'b'], ['c']]
    """
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


class Scoring:
    """Writes the results of scoring: the rows of a case at once, in one write, so a killed run never holds half a case; the
    vectors at the end."""

    def __init__(self, folder: RunFolder, suite: Suite, cases: list[Case], source: ClipSource | None) -> None:
        self._folder, self._suite, self._cases = folder, suite, cases
        planned = cases if source is None else source.cases()[: folder.head.limit]  # a shard ranks among the prompts of all
        self.prompts = suite.prompt_list or [c.prompt for c in planned]
        """All prompts of the suite, among which retrieval ranks."""
        self.scorer = partial(Scorer, folder, suite, self.prompts, source, folder.head.seed_offset)
        """Makes the state of a process that scores."""
        self.samples = {row.id: row for row in folder.rows(SampleRow)}
        """The rows of samples that the run had."""
        self.scored = {row.id for row in folder.rows(ScoreRow)}
        """The cases whose scores the run had."""
        self._disordered = bool(self.scored) or (source is not None and bool(self.samples))
        self._results: dict[str, dict[str, Array]] = {}
        self._broken: set[str] = set()

    def job(self, case: Case, sample: SampleRow | None = None) -> Job:
        """The arguments of `Scorer.case`; `sample` is the row of a clip that was made since."""
        return case, sample or self.samples.get(case.id), case.id not in self.scored

    def add(self, case: Case, result: ClipResult) -> None:
        """Write the rows of a case, and keep its vectors."""
        if result.sample is not None:
            self._folder.append([result.sample])
        if result.rows:
            self._folder.append(result.rows)
        if not self._disordered and len(self._results) < len(self._cases):
            self._disordered = case.id != self._cases[len(self._results)].id
        self._results[case.id] = result.vectors
        self._broken |= result.missing

    def end(self, score_reference: ScoreReference) -> None:
        """Bring the tables into the order of the plan, and write the vectors of the clips and of the reference set, whose clips
        `score_reference` is given. Raises SuiteError for a reference generator without clips."""
        folder, suite = self._folder, self._suite
        if self._disordered:
            in_plan_order(folder, SampleRow, self._cases)
            in_plan_order(folder, ScoreRow, self._cases)
        sets = [n for n in suite.metrics if metric_info(n).kind == "set"] if suite.reference is not None else []
        sets = [name for name in sets if name not in self._broken]
        vectors = _Vectors()
        for case in self._cases:
            vectors.add(case, self._results[case.id])
        for name in sets:
            folder.save_features(outputs_of(name)[0], *vectors.of(name))
        if sets and not all("clips" in folder.load_features(REFERENCE + outputs_of(name)[0]) for name in sets):
            _reference_features(folder, suite, sets, score_reference)


def _reference_features(
    folder: RunFolder,
    suite: Suite,
    sets: list[str],
    score_reference: ScoreReference,
) -> None:
    """The reference set's vectors, clip by clip; the clips themselves are not stored."""
    assert suite.reference is not None
    generator = open_reference(suite)
    source = np.array(f"{suite.reference.generator}|{generator.fingerprint()}|seed+{suite.reference.seed_offset}")
    clips_by_case, number = reference_set(suite, generator, folder.head.shard)
    vectors, failed, seen = _Vectors(), list[str](), set[str]()
    for case, real in track(score_reference(clips_by_case), "reference", number):
        vectors.add(case, real.vectors, real.bucket, real.sha256)
        failed += real.failed
        seen.add(real.sha256)
    if other := unlike_shipped(suite.fingerprint, seen - {""}):
        warn_once(f"this machine renders {other} of {number} reference clips otherwise: their features are not shipped ones")
    for name in sets:
        ids, values = vectors.of(name)
        buckets, clips = (np.array(column.get(name, []), np.str_) for column in (vectors.buckets, vectors.clips))
        folder.save_features(
            REFERENCE + outputs_of(name)[0],
            ids,
            values,
            failed=np.array(failed, np.str_),
            buckets=buckets,
            clips=clips,
            source=source,
        )


def reference_set(suite: Suite, generator: Generator, shard: Shard | None) -> tuple[Iterator[tuple[Case, Clip | str]], int]:
    """The reference clips, or why there is none, with their number: the generator's own, or its answers to the cases.

    A shard has its share of them: what is merged has all.
    """
    assert suite.reference is not None
    offset, copies = suite.reference.seed_offset, suite.reference.copies
    if suite.axes is None:
        if not isinstance(generator, ClipSource):
            raise SuiteError(f"{suite.path}: [reference].generator must bring clips, for example 'folder:PATH'")
        cases = generator.cases() if shard is None else shard.of(generator.cases())

        def read() -> Iterator[tuple[Case, Clip | str]]:
            for case in cases:
                yield case, clip_of(generator, case)

        return read(), len(cases)

    asked = suite.cases if shard is None else shard.of(suite.cases)

    def make() -> Iterator[tuple[Case, Clip | str]]:
        for case in asked:
            for copy in range(copies):
                yield case, answers_of(generator, suite, [case], offset + copy)[0]

    return make(), len(asked) * copies
