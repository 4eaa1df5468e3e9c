"""Shards of one run, made apart by a scheduler, as the run that they are parts of."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sora_eval.pipeline.ending import writing
from sora_eval.pipeline.scorable import remember_secrets, scorable_suite
from sora_eval.pipeline.trust import check_trust
from sora_eval.records.case import Case, Prompt
from sora_eval.registry.metrics import metric_info, outputs_of
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import OracleRow, SampleRow, ScoreRow, SourceRow, TimingRow
from sora_eval.runs.vectors import REFERENCE
from sora_eval.suite import Suite
from sora_eval.util.errors import RunError
from sora_eval.util.redaction import redacted_command

MOST_NAMES = 5  # of cases, in a message
Arrays = dict[str, npt.NDArray[np.generic]]


def merge(shards: Sequence[RunFolder], out: Path | str, command: Sequence[str] = ()) -> RunFolder:
    """A new run in `out` with the rows, vectors and clips of all shards of a run, in the order of its plan, summarised anew.

    Scores stay those of the shards; timings are those of the first. Raises RunError where a run is no shard, has not ended or
    is not trusted, for shards of unlike suites, generators, seeds, protocols or reference sets, and for cases that several or
    none of them have.
    """
    for shard in shards:
        check_trust(shard)
        _check_ended(shard)
        shard.check_files()
    shards = sorted(shards, key=lambda run: run.head.shard.index if run.head.shard else 0)
    for shard in shards[1:]:
        _check_like(shards[0], shard)
    suite = scorable_suite(shards[0])
    remember_secrets(suite)
    samples = {id(shard): shard.rows(SampleRow) for shard in shards}
    rows = [row for shard in shards for row in samples[id(shard)]]
    planned = _planned(shards[0], suite)
    head = shards[0].head
    expected = planned[: head.limit]
    _check_cases(head, [row.id for row in rows], expected)
    for shard in shards:
        _check_scores(shard, suite, [row.id for row in samples[id(shard)]])
    _check_signatures(shards)
    place = {name: i for i, name in enumerate(expected)}
    vectors = {name: _vectors(shards, name, place) for name in _sets(shards, suite)}

    whole = head.model_copy(
        update={
            "shard": None,
            "merged": tuple(shard.name for shard in shards),
            "partial": len(expected) < len(planned),
            "status": "started",
            "started": min(shard.head.started for shard in shards),
            "finished": None,
            "files": {},
            "command": redacted_command(command) if command else head.command,
        }
    )
    from sora_eval.pipeline.summarise import summarise  # with torch, once nothing can be refused any more

    folder = RunFolder.create(Path(out), whole, suite.to_json(), shards[0].rows(SourceRow))
    try:
        with writing(folder):
            _write(folder, shards, rows, place)
            for name, arrays in vectors.items():
                folder.save_features(name, arrays.pop("ids").tolist(), arrays.pop("values"), **arrays)
            summarise(folder, suite, _cases(suite, rows, place))
            folder.finish()
    finally:
        folder.lock.release()
    return folder


def _check_ended(run: RunFolder) -> None:
    head = run.head
    if head.shard is None:
        raise RunError(f"{run.path} is no shard: it was not made with --shard")
    if why := head.unfinished(str(run.path)):
        raise RunError(f"{run.path} cannot be merged: {why}")


def _check_like(first: RunFolder, other: RunFolder) -> None:
    """Raises RunError for shards that are not of one run."""
    a, b = first.head, other.head
    pairs: dict[str, tuple[object, object]] = {
        "suite": (a.suite, b.suite),
        "suite with --set": (a.changes, b.changes),
        "generator": (_generator(a), _generator(b)),
        "seed offset": (a.seed_offset, b.seed_offset),
        "--limit": (a.limit, b.limit),
        "number of shards": (a.shard and a.shard.count, b.shard and b.shard.count),
    }
    for what, (one, two) in pairs.items():
        if one != two:
            raise RunError(f"{first.path} and {other.path} are no shards of one run: {what} {one} against {two}")


def _generator(head: RunHead) -> str:
    return f"{head.generator.label} (fingerprint {head.generator.fingerprint})"


def _planned(run: RunFolder, suite: Suite) -> list[str]:
    """The ids of all cases of a run's plan: of its suite, or of the clips that existed."""
    return [case.id for case in suite.cases] if suite.axes is not None else [row.id for row in run.rows(SourceRow)]


def _cases(suite: Suite, rows: Sequence[SampleRow], place: Mapping[str, int]) -> list[Case]:
    if suite.axes is not None:
        return [case for case in suite.cases if case.id in place]
    existing = [Case(Prompt(r.prompt_id, r.prompt, r.tags), None, None, None, None, r.seed) for r in rows]
    return sorted(existing, key=lambda case: place[case.id])


def _check_cases(head: RunHead, ids: Sequence[str], expected: Sequence[str]) -> None:
    """Raises RunError for cases that several shards have, and for those that none has."""
    count = head.shard.count if head.shard else 0
    if twice := [name for name, number in Counter(ids).items() if number > 1]:
        raise RunError(f"{_names(twice)} in more than one of these runs; give every shard of {count} once")
    if lacking := [name for name in expected if name not in set(ids)]:
        raise RunError(f"{_names(lacking)} in none of these runs; give all {count} shards")
    if foreign := [name for name in ids if name not in set(expected)]:
        raise RunError(f"{_names(foreign)} in these runs, but not in the plan of the suite")


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MOST_NAMES} more" if len(ids) > MOST_NAMES else ""
    return f"{', '.join(ids[:MOST_NAMES])}{more} {'is' if len(ids) == 1 else 'are'}"


def _check_scores(shard: RunFolder, suite: Suite, ids: Sequence[str]) -> None:
    """Raises RunError for a shard that lacks the scores of a metric, whose weights its machine did not have for example."""
    scored = {(row.id, row.metric) for row in shard.rows(ScoreRow)}
    for name in suite.metrics:
        if metric_info(name).kind != "per-clip":
            continue
        if lacking := [i for i in ids if any((i, output) not in scored for output in outputs_of(name))]:
            raise RunError(f"{shard.path} has no {name} of {_names(lacking).rpartition(' ')[0]}: sora-eval score {shard.path}")


def _check_signatures(shards: Sequence[RunFolder]) -> None:
    """Raises RunError where shards scored a metric by unlike protocols or weights."""
    signatures: dict[str, tuple[str, RunFolder]] = {}
    for shard in shards:
        for row in (*shard.rows(ScoreRow), *shard.rows(OracleRow)):
            signature, first = signatures.setdefault(row.metric, (row.signature, shard))
            if row.signature != signature:
                raise RunError(
                    f"{first.path} and {shard.path} have unlike scores of {row.metric}: {signature} against {row.signature}; "
                    "score them again with one set of weights: sora-eval score RUN"
                )


def _sets(shards: Sequence[RunFolder], suite: Suite) -> list[str]:
    """The names of all feature files. Raises RunError for a shard that lacks one."""
    declared = [outputs_of(name)[0] for name in suite.metrics if metric_info(name).kind == "set"]
    names = [*declared, *(REFERENCE + name for name in declared)]
    found = {name: [shard for shard in shards if shard.load_features(name)] for name in names}
    for name, having in found.items():
        if having and len(having) < len(shards):
            lacking = next(shard for shard in shards if shard not in having)
            raise RunError(f"{lacking.path} has no vectors of {name}: sora-eval score {lacking.path}")
    return [name for name, having in found.items() if having]


def _vectors(shards: Sequence[RunFolder], name: str, place: Mapping[str, int]) -> Arrays:
    """The arrays of a features file of all shards. Raises RunError for another reference set."""
    parts = [shard.load_features(name) for shard in shards]
    sources = {str(part["source"]) for part in parts if "source" in part}
    if len(sources) > 1:
        raise RunError(f"the shards have unlike reference sets: {' against '.join(sorted(sources))}")
    filled = [part["values"] for part in parts if len(part["values"])]  # a shard without a clip has vectors of no width
    if len({values.shape[1] for values in filled}) > 1:
        raise RunError(f"the shards have vectors of {name} of unlike widths: {sorted({v.shape[1] for v in filled})}")
    values = np.concatenate(filled) if filled else parts[0]["values"]
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0] if key not in ("values", "source")}
    if not name.startswith(REFERENCE):
        order = np.argsort([place[i] for i in columns["ids"].tolist()], kind="stable")
        values, columns = values[order], {key: column[order] for key, column in columns.items()}
    return {"values": values, **columns, **({"source": np.array(sources.pop())} if sources else {})}


def _write(folder: RunFolder, shards: Sequence[RunFolder], samples: Iterable[SampleRow], place: Mapping[str, int]) -> None:
    """The tables and clips of all shards, in the order of the plan."""
    for shard in shards:
        for row in shard.rows(SampleRow):
            if row.clip and not Path(row.clip).is_absolute():
                _link(shard.clip_file(row.clip), folder.path / row.clip)
    folder.replace(SampleRow, sorted(samples, key=lambda row: place[row.id]))
    scores = [row for shard in shards for row in shard.rows(ScoreRow)]
    if scores:
        folder.replace(ScoreRow, sorted(scores, key=lambda row: place[row.id]))
    oracles = {(row.oracle, row.id, row.metric): row for shard in shards for row in shard.rows(OracleRow)}
    if oracles:
        specs = {oracle: i for i, oracle in enumerate(dict.fromkeys(oracle for oracle, _, _ in oracles))}
        folder.replace(OracleRow, sorted(oracles.values(), key=lambda row: (specs[row.oracle], place.get(row.id, -1))))
    if timings := [row for shard in shards for row in shard.rows(TimingRow)]:
        folder.replace(TimingRow, timings)


def _link(source: Path, target: Path) -> None:
    """A file that is never changed, at a second place; a copy where the disk is another one."""
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
