"""The clips of a baseline, in a folder beside its file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from sora_eval.compare.run_data import started_from
from sora_eval.records.names import file_name
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.util.errors import BaselineError
from sora_eval.video.codec import read_clip, write_clip

STORED = ".mkv"


def keep_clips(runs: Sequence[RunFolder], folder: Path, *, add: bool) -> None:
    """Copy the clips of runs into a folder, named by the seeds that they started from; what it held goes, unless `add`.

    Raises BaselineError where it cannot be written, RunError and ClipError for clips that cannot be read.
    """
    if folder.is_dir() and not add:
        for file in folder.glob(f"*{STORED}"):
            file.unlink()
    for run in runs:
        folder.mkdir(parents=True, exist_ok=True)
        for row in run.rows(SampleRow):
            source, to = run.clip_file(row.clip), folder / f"{file_name(started_from(row.id, run.head.seed_offset))}{STORED}"
            try:
                if source.suffix == STORED:
                    shutil.copyfile(source, to)
                else:
                    write_clip(read_clip(source), to)
            except OSError as error:
                raise BaselineError(f"{source} cannot be copied to {to}: {error.strerror}") from error
