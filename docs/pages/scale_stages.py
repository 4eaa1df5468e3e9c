"""Seconds and memory of the stages of a run of many cases, each command in a process of its own, warmed up on a few cases.

Warm, since what is loaded once would make many cases look cheap, and hide what grows.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from docs.pages.scale_material import SPECS, write_suite
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder
from sora_eval.suite import load_suite
from sora_eval.util.environment import peak_bytes, reset_peak
from sora_eval.util.errors import RunError
from sora_eval.util.files import append_lines, whole_lines

STAGES = ("plan", "generate", "score", "summarise", "compare", "gate", "report")
WARM = 10  # cases


@dataclass(frozen=True)
class Measured:
    """One stage on so many cases of a layout, inside a command: its wall time, and seconds of all
    its threads on a processor. `peak` is the most memory of its process during the stage, `before` what the
    process held when it was warm, in bytes; `size` is that of the report's file."""

    layout: str
    cases: int
    round: int
    command: str
    stage: str
    seconds: float
    processor: float
    peak: int
    before: int
    size: int = 0


@dataclass
class _Watch:
    """Times the stages of one command, one after the other."""

    before: int = 0
    done: list[tuple[str, float, float, int]] = field(default_factory=list)
    _name: str = ""
    _start: tuple[float, float] = (0.0, 0.0)

    def begin(self, name: str) -> None:
        """Begin a stage, which ends the one before."""
        self.end()
        reset_peak()
        self.before = self.before or peak_bytes()
        self._name, self._start = name, (time.perf_counter(), time.process_time())

    def end(self) -> None:
        """End the last stage."""
        if self._name:
            wall, processor = (
                now - start for now, start in zip((time.perf_counter(), time.process_time()), self._start, strict=True)
            )
            self.done.append((self._name, wall, processor, peak_bytes()))
        self._name = ""

    def rows(self, layout: str, cases: int, number: int, command: str, size: int) -> list[Measured]:
        """The stages as rows; `size` is that of the file that the last one wrote."""
        return [Measured(layout, cases, number, command, *stage, self.before, size) for stage in self.done]


Result = tuple[_Watch, int]  # how long the stages of a command took, and the size of the file that it wrote


def measure(folder: Path, layout: str, cases: int, number: int = 0) -> None:
    """Measure all stages of two runs of so many cases and of what compares them, under `folder`, and add them to its
    measured.jsonl, as round `number`; commands that it has already are not measured again. Raises RunError where a process
    dies."""
    store, place = folder / "measured.jsonl", folder / f"{layout}-{cases}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    for command, function in COMMANDS.items():
        if any((m.round, m.command) == (number, command) for m in measured(store, layout, cases)):
            continue
        watch, size = _in_process(function, place, layout, cases)
        rows = watch.rows(layout, cases, number, command, size)
        append_lines(store, "".join(json.dumps(asdict(m)) + "\n" for m in rows))


def measured(store: Path, layout: str = "", cases: int = 0) -> list[Measured]:
    """What was measured, of one layout and size where they are given."""
    rows = [Measured(**json.loads(line)) for line in whole_lines(store)]
    return [m for m in rows if (not layout or m.layout == layout) and (not cases or m.cases == cases)]


def _in_process(function: Callable[[Path, str, int], Result], place: Path, layout: str, cases: int) -> Result:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, place, layout, cases).result()
        except BrokenProcessPool as error:
            raise RunError(f"a process died that measured {cases} cases: is there memory for it?") from error


def _generate(place: Path, layout: str, cases: int, which: int) -> Result:
    """The first half of a run as `sora-eval run` makes it, after that of a few cases."""
    _generated(place / "warm", layout, WARM, SPECS[which])
    return _generated(place, layout, cases, SPECS[which]), 0


def _generated(place: Path, layout: str, cases: int, spec: str) -> _Watch:
    from sora_eval.pipeline.generate import generate
    from sora_eval.pipeline.run import begin

    file, watch = write_suite(place / "suite", cases, layout), _Watch()
    watch.begin("plan")
    work = begin(load_suite(file), spec, place / "runs")
    try:
        watch.begin("generate")
        generate(work.folder, work.suite, work.generator, work.cases)
        watch.end()
    finally:
        work.folder.lock.release()
        work.generator.close()
    return watch


def _score(place: Path, layout: str, cases: int, which: int) -> Result:
    """The second half."""
    _generated(place / "warm", layout, WARM, SPECS[which])
    _scored(place / "warm", SPECS[which])
    return _scored(place, SPECS[which]), 0


def _scored(place: Path, spec: str) -> _Watch:
    """Score and end the last run of a generator."""
    from sora_eval.pipeline.ending import ending
    from sora_eval.pipeline.run import reopen
    from sora_eval.pipeline.score import score
    from sora_eval.pipeline.summarise import summarise

    run = next(run for run in reversed(find_runs(place / "runs")) if run.head.generator.spec == spec)
    work, watch = reopen(run), _Watch()
    with ending(work.folder, work.generator):
        watch.begin("score")
        score(work.folder, work.suite, work.cases)
        watch.begin("summarise")
        summarise(work.folder, work.suite, work.cases)
    watch.end()
    return watch


def runs_of(place: Path) -> list[Path]:
    """The last run of each generator that has ended well, the base first."""
    ended = {run.head.generator.spec: run.path for run in find_runs(place / "runs") if run.head.status == "success"}
    return [ended[spec] for spec in SPECS]


def _compare(place: Path, layout: str, cases: int) -> Result:
    """Two runs from disk, as `sora-eval compare --slices` does."""
    from sora_eval.compare.comparison import compare
    from sora_eval.gate.baseline import open_data

    return _warmed("compare", place, lambda base, new: compare(open_data(base), open_data(new), slices=True)), 0


def _gate(place: Path, layout: str, cases: int) -> Result:
    """The new run against the base, as `sora-eval gate` does, which writes verdicts.json."""
    from sora_eval.gate.gate_run import gate_run

    return _warmed("gate", place, lambda base, new: gate_run(RunFolder.open(new), base)), 0


def _report(place: Path, layout: str, cases: int) -> Result:
    """The page of both runs with its gallery, as `sora-eval report --html` writes it."""
    from sora_eval_reports.page.page import render
    from sora_eval_reports.source import open_source

    page = place / "report.html"
    watch = _warmed("report", place, lambda base, new: page.write_text(render(open_source([base, new])), encoding="utf-8"))
    return watch, page.stat().st_size


def _warmed(stage: str, place: Path, command: Callable[[Path, Path], object]) -> _Watch:
    watch = _Watch()
    command(*runs_of(place / "warm"))
    watch.begin(stage)
    command(*runs_of(place))
    watch.end()
    return watch


COMMANDS: dict[str, Callable[[Path, str, int], Result]] = {
    "generate base": partial(_generate, which=0),
    "score base": partial(_score, which=0),
    "generate new": partial(_generate, which=1),
    "score new": partial(_score, which=1),
    "compare": _compare,
    "gate": _gate,
    "report": _report,
}
