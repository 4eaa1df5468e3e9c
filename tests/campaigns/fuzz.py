"""The fuzz campaign: files with one accident each, read by every verb that reads them. Nothing ends in a traceback, and of
what the harness wrote itself nothing is accepted with another result."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder
from tests.campaigns.kills import TIMES, Zygote, folder_result, text_result
from tests.campaigns.mutations import BYTES, Bytes, json_fault, lines_fault

SECONDS = 60
ENDS = ("refused", "said", "same", "another input", "traceback", "accepted", "hang")
SAYS = (
    "damaged",
    "missing",
    "not a run folder",
    "left out",
    "no verdict",
    "failed",
    "not of this run",
    "cannot be read",
    "has changed",
    "no clip",
)


@dataclass(frozen=True)
class Kind:
    """A kind of file: where it lies, who reads it, and whether the harness wrote it (then another result is a fault)."""

    files: str  # a glob in the workspace
    readers: tuple[tuple[str, ...], ...]
    own: bool = True


LOOK = (
    ("compare", "runs/a", "runs/b"),
    ("gate", "runs/a", "--baseline", "base.json"),
    ("report", "runs/a", "--html", "--out", "page.html"),
)
WRITE = (("score", "runs/a"), ("run", "--resume", "runs/a"), ("baseline", "promote", "runs/a", "--to", "new.json"))
LIST = (("list", "runs"), ("history", "runs", "--metric", "temporal_flickering"))
VALIDATE = (("validate", "kills.toml"),)
RESUME = (("run", "--resume", "runs/half"), ("score", "runs/half"))
TIMINGS = (("report", "runs/timed", "--html", "--out", "page.html"), ("compare", "runs/timed", "runs/timed"))
SELFCHECK = (("selfcheck", "--n", "3", "--metrics", "temporal_flickering", "--corruptions", "flicker", "--out", "check"),)


def _native(folder: str, suite: str = "native.toml") -> tuple[tuple[str, ...], ...]:
    return (("run", suite, "-g", folder, "--out", "out"),)


KINDS = {
    "run.json": Kind("runs/a/run.json", (*LOOK, *LOOK[:2], *LIST, *WRITE)),
    "suite.json": Kind("runs/a/suite.json", (*LOOK, *LOOK[:2], *WRITE)),
    "tables of a run": Kind("runs/a/*.jsonl", (*LOOK, *LOOK[:2], *WRITE)),
    "features of a run": Kind("runs/a/features/*.npz", (*LOOK, *LOOK[:2], *WRITE)),
    "clips of a run": Kind("runs/a/clips/*.mkv", (WRITE[0], WRITE[0], LOOK[2])),
    "a run under way": Kind("runs/half/**/*.[jns]*", RESUME),
    "timings of a run": Kind("runs/timed/*.jsonl", TIMINGS),
    "scores of a selfcheck": Kind("check/*.jsonl", SELFCHECK),
    "verdicts.json": Kind("runs/a/verdicts.json", (LOOK[2],)),
    "baseline": Kind("base.json", (LOOK[1], ("compare", "base.json", "runs/a"))),
    "reference checkpoint": Kind("models/[es]*/**/*.*", _native("reference:models/early", "model.toml")),
    "suite file": Kind("kills.toml", VALIDATE, own=False),
    "prompts": Kind("prompts.jsonl", VALIDATE, own=False),
    "manifest": Kind("videos/manifest.jsonl", _native("folder:videos"), own=False),
    "manifest as CSV": Kind("csv/manifest.csv", _native("folder:csv"), own=False),
    "manifest in Parquet": Kind("parquet/manifest.parquet", _native("folder:parquet"), own=False),
    "clips of a folder": Kind("videos/*.mkv", _native("folder:videos"), own=False),
    "network": Kind("network.onnx", _native("folder:videos"), own=False),
    "CLIP folder": Kind("models/clip/*", _native("folder:videos", "clip.toml"), own=False),
}
FAULTS: dict[str, tuple[Bytes, ...]] = {".json": (json_fault,), ".jsonl": (lines_fault,)}  # beside those of bytes


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    kind: str
    inputs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def row(self) -> list[str | int]:
        """The kind, the number of its inputs, and of each end."""
        return [self.kind, self.inputs, *(self.ends[end] for end in ENDS)]


class Fuzz:
    """Seeded accidents in one workspace, which is restored after each."""

    def __init__(self, zygote: Zygote, template: Path, work: Path, seed: int) -> None:
        self._template, self._work, self._zygote = template, Path(shutil.copytree(template, work)), zygote
        self._random = np.random.default_rng(seed)
        self._undisturbed: dict[tuple[str, ...], tuple[int | str, Any, str]] = {}

    def inputs(self, name: str, number: int) -> Tally:
        """So many files of a kind, each with one accident and read by one verb."""
        kind, tally = KINDS[name], Tally(name)
        for _ in range(number):
            files = sorted(p for p in self._template.glob(kind.files) if p.is_file())
            original = files[int(self._random.integers(len(files)))]
            faults = (*BYTES, *FAULTS.get(original.suffix, ()) * len(BYTES))
            fault = faults[int(self._random.integers(len(faults)))]
            reader = kind.readers[int(self._random.integers(len(kind.readers)))]
            expected = self._expected(reader)
            data = original.read_bytes()
            changed = fault(data, self._random)
            if changed == data:
                continue
            path = self._work / original.relative_to(self._template)
            path.write_bytes(changed)
            tally.inputs += 1
            end = self._end(self._call(reader), expected, original, kind)
            tally.ends[end.partition(":")[0]] += 1
            if end.partition(":")[0] in ("traceback", "hang", "accepted"):
                tally.failures.append(f"{original.name} after {fault.__name__}, {' '.join(reader)}: {end}")
                self._keep(path, changed, len(tally.failures), name)
            self._restore()
        return tally

    def _expected(self, reader: tuple[str, ...]) -> tuple[int | str, Any, str]:
        if reader not in self._undisturbed:
            self._undisturbed[reader] = self._call(reader)
            self._restore()
        return self._undisturbed[reader]

    @staticmethod
    def _end(got: tuple[int | str, Any, str], expected: tuple[int | str, Any, str], file: Path, kind: Kind) -> str:
        code, result, text = got
        if isinstance(code, str):
            return code
        if (code, result) == expected[:2]:
            return "same"
        if code == 2:
            return "refused"
        if code == 12 or any(word in text for word in SAYS if word not in expected[2]):
            return "said"
        return "accepted: another result" if kind.own else "another input"

    def _call(self, reader: tuple[str, ...]) -> tuple[int | str, Any, str]:
        """Exit code (or what went wrong), result and text of a verb in a process of its own."""
        code, text = self._zygote.run(reader, self._work, SECONDS)
        if code is None:
            return "hang: over a minute", None, ""
        if code == 1 or code < 0 or "Traceback (most recent call last)" in text:
            return f"traceback: exit code {code}: {text[-300:]}", None, ""
        page = self._work / "page.html"
        page_text = page.read_text(encoding="utf-8") if page.exists() else ""
        result: Any = (text, page_text)
        if reader[0] in ("score", "run"):
            named = [self._work / word for word in reader if word.startswith("runs/")]
            result = _results(named or [r.path for r in find_runs(self._work / "out")])
        elif reader[0] == "selfcheck":
            result = text_result("check/selfcheck.json", *TIMES)(self._work)
        return code, result, text + page_text

    def _restore(self) -> None:
        shutil.rmtree(self._work)
        shutil.copytree(self._template, self._work)

    def _keep(self, path: Path, changed: bytes, number: int, name: str) -> None:
        """The input of a failure, to look at."""
        folder = self._work.parent / "failures"
        folder.mkdir(exist_ok=True)
        (folder / f"{name.replace(' ', '_')}-{number}-{path.name}").write_bytes(changed)


def _results(folders: list[Path]) -> Any:
    """What runs hold, or why they cannot be read."""
    try:
        return [folder_result(RunFolder.open(folder)) for folder in folders]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
