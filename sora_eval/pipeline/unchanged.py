"""Whether the generator of a run is still what it was when the run began: its fingerprint, and clips that exist by file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sora_eval.generators.identity import identity_of
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.records.case import Case
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, SourceRow
from sora_eval.util.errors import RunError
from sora_eval.util.redaction import redact
from sora_eval.util.visible import say

MOST_NAMES = 3  # of files, in a message


def source_rows(generator: Generator) -> list[SourceRow]:
    """The clips that a generator brings, with the digests of their files; none of a generator that makes clips."""
    if not isinstance(generator, ClipSource):
        return []
    digests = generator.digests()
    return [
        SourceRow(id=case.id, path=str(generator.path(case).resolve()), prompt=case.prompt.text, sha256=digests[case.id])
        for case in generator.cases()
    ]


def check_generator(folder: RunFolder, generator: Generator) -> None:
    """Raises RunError, which names the files that differ, for a generator of another fingerprint than that of the run.

    What an equal fingerprint does not cover goes to standard error.
    """
    began = folder.head.generator
    if redact(identity_of(generator, began.spec).fingerprint) != began.fingerprint:
        recorded = folder.rows(SourceRow)
        if isinstance(generator, ClipSource) and not recorded:
            why = "it was begun by a version that hashed no content of files, so whether they are the same is not known"
            raise RunError(f"{folder.path}: {why}: start a new run")
        raise _changed(folder, _differences(recorded, source_rows(generator)) if recorded else "")
    if began.not_covered:
        say(f"{began.spec}: its fingerprint does not cover {began.not_covered}; that they are as before is not known", err=True)


def check_clips(folder: RunFolder, source: ClipSource, cases: Iterable[Case]) -> None:
    """Raises RunError unless the clips of a run are those that it began with; `cases` are those that it asks for.

    Of a run of a version that recorded no files it names those that came or went; scoring finds those with other frames.
    """
    if folder.rows(SourceRow):
        check_generator(folder, source)
        return
    samples = folder.rows(SampleRow)
    asked = {case.id for case in cases} if folder.head.status in ("success", "scoring") else {row.id for row in samples}
    recorded = [SourceRow(id=row.id, path=row.clip, prompt=row.prompt, sha256="") for row in samples]
    now = [row.model_copy(update={"sha256": ""}) for row in source_rows(source) if row.id in asked]
    if files := _differences(recorded, now):
        raise _changed(folder, files)


def _changed(folder: RunFolder, files: str) -> RunError:
    what = f"the weights or files of {folder.head.generator.spec} have changed since this run started"
    return RunError(f"{folder.path}: {what}{': ' * bool(files)}{files}; the run would mix two generators: start a new run")


def _differences(recorded: Iterable[SourceRow], now: Iterable[SourceRow]) -> str:
    """`1 changed (a.mp4), 2 added (b.mp4, c.mp4)`; '' for none."""
    before, after = ({row.id: row for row in rows} for rows in (recorded, now))
    groups = {
        "changed": [i for i in before if i in after and _content(before[i]) != _content(after[i])],
        "added": [i for i in after if i not in before],
        "removed": [i for i in before if i not in after],
    }
    rows: Mapping[str, SourceRow] = {**after, **before}
    return ", ".join(f"{len(ids)} {word} ({_names(rows[i] for i in ids)})" for word, ids in groups.items() if ids)


def _content(row: SourceRow) -> tuple[str, str]:
    return row.prompt, row.sha256


def _names(rows: Iterable[SourceRow]) -> str:
    names = [Path(row.path).name for row in rows]
    return ", ".join(names[:MOST_NAMES] + ["..."] * (len(names) > MOST_NAMES))
