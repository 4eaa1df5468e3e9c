"""Finds runs: those in a folder, and one by its path or name."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from statistics import median

from sora_eval.runs.folder import RunFolder
from sora_eval.util.errors import MOST_CHARACTERS, RunError


def find_runs(root: Path) -> list[RunFolder]:
    """The run folders directly below `root`, oldest first: by the time in run.json, or in the name of one that is damaged."""
    runs = [RunFolder(p.parent) for p in sorted(root.glob("*/run.json"))]
    return sorted(runs, key=_started)


def _started(run: RunFolder) -> str:
    try:
        return run.head.started.removesuffix("Z")  # which sorts after the digits of a second that others have
    except RunError:
        with suppress(ValueError):
            return datetime.strptime(run.path.name[:15], "%Y%m%d-%H%M%S").isoformat()
        return ""


def usual_seconds(root: Path, suite: str) -> float | None:
    """The median time of the whole runs in `root` of the suite with this fingerprint; None without one."""
    known = []
    for path in root.glob("*/run.json"):
        with suppress(RunError, ValueError, TypeError):
            head = RunFolder(path.parent).head
            if head.suite.fingerprint == suite and head.status == "success" and not head.partial and head.finished:
                ends = [datetime.fromisoformat(time) for time in (head.started, head.finished)]
                known.append((ends[1] - ends[0]).total_seconds())
    return median(known) if known else None


def resolve_run(name: Path, trust: bool = False) -> RunFolder:
    """A run by its path, by the start of its name in ./runs, or `latest`. Raises RunError unless exactly one run matches."""
    try:
        if name.exists():
            return RunFolder.open(name, trust)
    except OSError as error:
        raise RunError(f"run {str(name)[:MOST_CHARACTERS]!r} cannot be read: {error.strerror}") from error
    root = Path("runs")
    runs = find_runs(root)
    if str(name) == "latest" and runs:
        return RunFolder.open(runs[-1].path, trust)
    matching = [r for r in runs if r.path.name.startswith(str(name))]
    if len(matching) == 1:
        return RunFolder.open(matching[0].path, trust)
    raise RunError(
        f"run {str(name)!r} is not a folder, and {len(matching)} runs in ./runs start with it; see 'sora-eval list runs'"
    )
