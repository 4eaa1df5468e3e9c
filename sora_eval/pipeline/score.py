"""Scoring: every clip is decoded once for all metrics; the reference set is read clip by clip.

Only this module writes rows, in the order of the plan, whichever process scored a clip. Of a clip only rows and vectors stay
in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest

import numpy as np

from sora_eval.features.device import where
from sora_eval.features.shipped import unlike_shipped
from sora_eval.features.view import Array
from sora_eval.generators.asking import answers_of, clip_of
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.pipeline.again import in_plan_order
from sora_eval.pipeline.reference import open_reference
from sora_eval.pipeline.score_clip import Scorer
from sora_eval.pipeline.workers import Workers
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.registry.metrics import metric_info, outputs_of
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import Shard
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.suite import Suite
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import SuiteError
from sora_eval.util.progress import track

REFERENCE = "reference-"  # prefix of the feature files of the reference set


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

    The rows of a case are appended in one write, so a killed run never holds half a case. The numbers do not depend on the
    number of `workers`, processes that score. Raises SuiteError for a reference generator without clips, RunError if a worker
    dies.
    """
    folder.update_head(networks=where())
    planned = cases if source is None else source.cases()[: folder.head.limit]  # a shard ranks among the prompts of all
    prompts = suite.prompt_list or [c.prompt for c in planned]
    samples = {row.id: row for row in folder.rows(SampleRow)}
    scored = {row.id for row in folder.rows(ScoreRow)}
    sets = [n for n in suite.metrics if metric_info(n).kind == "set"] if suite.reference is not None else []
    with Workers(partial(Scorer, folder, suite, prompts, source), workers) as pool:
        jobs = [(case, samples.get(case.id), case.id not in scored) for case in cases]
        # A single worker knows the clip that follows.
        following = [job[:2] for job in jobs[1:]] if workers == 1 else []
        jobs_and_following = ((*job, after) for job, after in zip_longest(jobs, following))
        vectors, broken = _Vectors(), set[str]()
        for case, result in zip(cases, track(pool.map(Scorer.case, jobs_and_following), "score", len(jobs)), strict=True):
            if result.sample is not None:
                folder.append([result.sample])
            if result.rows:
                folder.append(result.rows)
            vectors.add(case, result.vectors)
            broken |= result.missing
        if source is not None and samples:
            in_plan_order(folder, SampleRow, cases)
        if scored:
            in_plan_order(folder, ScoreRow, cases)
        sets = [name for name in sets if name not in broken]
        for name in sets:
            folder.save_features(outputs_of(name)[0], *vectors.of(name))
        if sets and not all("clips" in folder.load_features(REFERENCE + outputs_of(name)[0]) for name in sets):
            _reference_features(folder, suite, sets, pool)


def _reference_features(folder: RunFolder, suite: Suite, sets: list[str], pool: Workers[Scorer]) -> None:
    """The reference set's vectors, clip by clip; the clips themselves are not stored."""
    assert suite.reference is not None
    generator = open_reference(suite)
    source = np.array(f"{suite.reference.generator}|{generator.fingerprint()}|seed+{suite.reference.seed_offset}")
    clips_by_case, number = _reference_clips(suite, generator, folder.head.shard)
    vectors, failed, seen = _Vectors(), list[str](), set[str]()
    for case, real in track(pool.map(Scorer.reference, clips_by_case), "reference", number):
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


def _reference_clips(suite: Suite, generator: Generator, shard: Shard | None) -> tuple[Iterator[tuple[Case, Clip | str]], int]:
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
