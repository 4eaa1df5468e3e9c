"""The kill campaign: verbs that write are killed at random moments and run again; the result is that of an undisturbed one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.records.speed_metrics import is_speed
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import AttributionRow, MetricRow, OracleRow, SampleRow, ScoreRow, TimingRow
from tests.conftest import ROOT

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SPEC = "python:my_generator:slow"
SUITE = """
[suite]
id = "kills"
[prompts]
file = "prompts.jsonl"
limit = 6
[axes]
shapes = ["32x32"]
frames = [9]
[reference]
generator = "world"
[oracles]
generators = ["world"]
[metrics.temporal_flickering]
[metrics.physics_laws]
[metrics.fvd]
network = "NETWORK"
[gates.temporal_flickering]
max_decrease = 50.0
"""
PLAIN = """

def plain(request):
    time.sleep(0.05)
    return np.zeros((request.num_frames, request.height, request.width, 3), np.uint8)
"""
TIMED = """
[suite]
id = "timed"
[throughput]
prompt = "PROMPT"
shapes = ["32x32x5", "40x24x5"]
repeats = 3
"""


@dataclass(frozen=True)
class Job:
    """A verb that writes: its command line, how it goes on after a kill, and what it leaves, without times."""

    argv: tuple[str, ...]
    result: Callable[[Path], Any]
    resume: bool = False  # with `run --resume` where there is a run folder, else by the same command again


@dataclass
class Outcome:
    """What the kills of one job came to."""

    job: str
    kills: int = 0
    trials: int = 0
    equal: int = 0
    signals: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def row(self) -> list[str | int]:
        """The verb, its trials, kills, kills by each signal, and the trials that ended as an undisturbed one."""
        return [self.job, self.trials, self.kills, *(self.signals.get(s.name, 0) for s in SIGNALS), self.equal]


def run_result(root: Path) -> Any:
    """What the one run below `root` holds."""
    runs = find_runs(root)
    return folder_result(runs[0]) if len(runs) == 1 else f"{len(runs)} runs"


def folder_result(run: RunFolder) -> Any:
    """Rows and vectors of a run without times, and the names of its files."""
    timeless = {"seconds", "peak_bytes", "bytes"}
    tables = {
        row.table: [r.model_dump(exclude=timeless) for r in run.rows(row)]
        for row in (SampleRow, ScoreRow, OracleRow, AttributionRow, TimingRow)
    }
    tables["metrics"] = [r.model_dump(include={"metric", "slice"} if is_speed(r.metric) else None) for r in run.rows(MetricRow)]
    vectors = {p.stem: {k: v.tolist() for k, v in run.load_features(p.stem).items()} for p in run.path.glob("features/*.npz")}
    files = sorted(p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file())
    return {"status": run.head.status, "tables": tables, "vectors": vectors, "files": files}


def text_result(name: str, *timely: str) -> Callable[[Path], Any]:
    """The text of a file, without what changes with time."""

    def result(root: Path) -> Any:
        text = (root / name).read_text(encoding="utf-8")
        for pattern in timely:
            text = re.sub(pattern, "", text)
        return [text, sorted(p.name for p in (root / name).parent.iterdir() if p.name.endswith(".part"))]

    return result


TIMES = (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", r'"digest": "\w+"')
JOBS = {
    "run": Job(("run", "kills.toml", "-g", SPEC, "--out", "runs"), lambda w: run_result(w / "runs"), resume=True),
    "run --workers 2": Job(
        ("run", "kills.toml", "-g", SPEC, "--out", "runs", "--workers", "2"), lambda w: run_result(w / "runs"), resume=True
    ),
    "run --until-decided": Job(
        ("run", "kills.toml", "-g", SPEC, "--out", "runs", "--until-decided", "--baseline", "base.json", "--batch", "2"),
        lambda w: run_result(w / "runs"),
        resume=True,
    ),
    "score": Job(("score", "base/run"), lambda w: run_result(w / "base")),
    "run: throughput": Job(
        ("run", "timed.toml", "-g", "python:my_generator:plain", "--out", "runs"), lambda w: run_result(w / "runs"), resume=True
    ),
    "baseline promote": Job(
        ("baseline", "promote", "base/run", "--to", "new/kills.json", "--force"), text_result("new/kills.json", *TIMES)
    ),
    "gate": Job(("gate", "base/run", "--baseline", "base.json"), text_result("base/run/verdicts.json", *TIMES)),
    "report": Job(("report", "base/run", "--html", "--out", "page/report.html"), text_result("page/report.html")),
    "selfcheck": Job(
        ("selfcheck", "--n", "3", "--metrics", "temporal_flickering", "--corruptions", "flicker", "--out", "check"),
        text_result("check/selfcheck.json", *TIMES),
    ),
}


class Zygote:
    """Command lines in processes of their own, started within milliseconds."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "118"}
        environment.pop("CI", None)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self._codes: dict[int, int] = {}
        self._pids: list[int] = []
        self._news = threading.Condition()
        assert self._process.stdout is not None
        assert "ready" in self._process.stdout.readline()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            with self._news:
                if "pid" in message:
                    self._codes.pop(message["pid"], None)  # of an earlier process: numbers come again after some thousands
                    self._pids.append(message["pid"])
                else:
                    self._codes[message["ended"]] = message["code"]
                self._news.notify_all()

    def start(self, argv: tuple[str, ...], cwd: Path) -> int:
        """The pid of a new process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"argv": argv, "cwd": str(cwd), "log": str(cwd / "log.txt")}) + "\n")
        self._process.stdin.flush()
        with self._news:
            self._news.wait_for(lambda: self._pids, 60)
            return self._pids.pop()

    def run(self, argv: tuple[str, ...], cwd: Path, seconds: float) -> tuple[int | None, str]:
        """Exit code (None if it runs longer: then it is killed) and text of a command that nothing disturbs."""
        pid = self.start(argv, cwd)
        code = self.code(pid, seconds)
        if code is None:
            os.killpg(pid, signal.SIGKILL)
            self.code(pid, 60)
        return code, (cwd / "log.txt").read_text(encoding="utf-8", errors="replace")

    def code(self, pid: int, seconds: float) -> int | None:
        """The exit code of a process, or None if it still runs after so long."""
        with self._news:
            self._news.wait_for(lambda: pid in self._codes, seconds)
            return self._codes.get(pid)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


class Campaign:
    """Kills of the jobs, seeded; `template` is a workspace with base/run and base.json, copied for every trial."""

    def __init__(self, template: Path, work: Path) -> None:
        self._template, self._work, self._zygote = template, work, Zygote()
        self._number = 0
        self._undisturbed: dict[str, tuple[Any, float]] = {}

    def close(self) -> None:
        self._zygote.close()

    def prepare(self) -> None:
        """Add the run base/run and the baseline base.json to the template."""
        assert self.run(("run", "kills.toml", "-g", SPEC, "--out", "made"), self._template) == 0
        (self._template / "base").mkdir()
        find_runs(self._template / "made")[0].path.rename(self._template / "base" / "run")
        (self._template / "made").rmdir()
        assert self.run(("baseline", "promote", "base/run", "--to", "base.json"), self._template) == 0

    def run(self, argv: tuple[str, ...], work: Path) -> int | None:
        """Exit code of a command that nothing disturbs; None if it takes more than 5 minutes."""
        return self._zygote.run(argv, work, 300)[0]

    def trials(self, name: str, kills: int, seed: int) -> Outcome:
        """Trials of one job until so many kills have hit."""
        outcome, job, random = Outcome(name), JOBS[name], np.random.default_rng([seed, list(JOBS).index(name)])
        expected, seconds = self.whole(name)
        while outcome.kills < kills:
            work, hits = self.copy(), 0
            log = [f"trial {outcome.trials}:"]
            argv = job.argv
            for _ in range(int(random.integers(1, 4))):
                pid = self._zygote.start(argv, work)
                code = self._zygote.code(pid, float(random.uniform(0.0, seconds)))
                sign = SIGNALS[int(random.integers(len(SIGNALS)))]
                if code is None and _hit(pid, sign):
                    code = self._zygote.code(pid, 60)
                    hits += 1
                    outcome.signals[sign.name] = outcome.signals.get(sign.name, 0) + 1
                    log.append(f"{sign.name} -> {code}")
                    if code is None:
                        log.append("still runs a minute after the signal")
                        os.killpg(pid, signal.SIGKILL)
                    if code == 1:
                        log.append("a traceback")
                else:
                    code = self._zygote.code(pid, 60)
                    log.append(f"ended with {code}")
                    if code == 1:
                        log.append("a traceback")
                argv = _next(job, work)
            code = self.run(argv, work)
            result = self.result(job, work) if code in (0, 10, 11) else f"exit code {code}"
            outcome.trials += 1
            outcome.kills += hits
            if result == expected and not any("traceback" in line or "still runs" in line for line in log):
                outcome.equal += 1
                shutil.rmtree(work)
            else:
                outcome.failures.append(" ".join(log) + f" {_difference(expected, result)}; see {work.name}/log.txt")
        return outcome

    def whole(self, name: str) -> tuple[Any, float]:
        """The result of a job that nothing disturbs, and its seconds."""
        if name not in self._undisturbed:
            work, started = self.copy(), time.monotonic()
            code = self.run(JOBS[name].argv, work)
            assert code in (0, 10, 11), (name, code, (work / "log.txt").read_text())
            self._undisturbed[name] = (self.result(JOBS[name], work), time.monotonic() - started)
        return self._undisturbed[name]

    def copy(self) -> Path:
        """A workspace of its own."""
        self._number += 1
        return Path(shutil.copytree(self._template, self._work / f"{self._number:04d}"))

    @staticmethod
    def result(job: Job, work: Path) -> Any:
        """What a job left, as plain JSON; a text that says why it cannot be read."""
        try:
            return json.loads(json.dumps(job.result(work)))
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def _hit(pid: int, sign: signal.Signals) -> bool:
    """Send a signal to a process and its children; False if it has just ended."""
    try:
        os.killpg(pid, sign)
    except ProcessLookupError:
        return False
    return True


def _next(job: Job, work: Path) -> tuple[str, ...]:
    """The command that a user gives after a kill."""
    runs = find_runs(work / "runs") if job.resume else []
    return ("run", "--resume", str(runs[-1].path.relative_to(work))) if runs else job.argv


def _difference(expected: Any, result: Any) -> str:
    if isinstance(expected, dict) and isinstance(result, dict):
        return "differs in " + ", ".join(k for k in expected if expected[k] != result.get(k))
    return f"gave {str(result)[:200]}"
