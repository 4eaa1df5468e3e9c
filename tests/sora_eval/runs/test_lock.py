"""One process at a time writes a run, and `latest` is the run that began last."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sora_eval.gate import gate_run
from sora_eval.pipeline import run as evaluate
from sora_eval.runs.find import find_runs, resolve_run
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import now
from sora_eval.runs.lock import FILE, OWNER, RunLock
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import Gate, load_suite
from sora_eval.util.errors import RunError
from tests.commands import sora_eval
from tests.runs import make_run

HOLD = """
import sys
from pathlib import Path
from sora_eval.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_names_its_process_and_ends_with_it(tmp_path):
    generator = {"spec": "reference", "name": "reference", "checkpoint": "", "fingerprint": "w"}
    run = make_run(tmp_path / "run", {"m": [1.0] * 24}, generator=generator)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        words = f"is being written by process {other.pid}; wait until that has ended, or end it, and try again"
        for command in (["run", "--resume"], ["score"]):
            refused = sora_eval(*command, run.path)
            assert (refused.returncode, words in refused.stderr, refused.stderr.count("\n")) == (2, True, 1), refused.stderr
        copy = RunLock(Path(shutil.copytree(run.path, tmp_path / "copy")))
        copy.acquire()  # the copy of a run is not being written
        copy.release()
        other.kill()
    with run.lock.held(), pytest.raises(RunError, match="is being written by process"):
        RunLock(run.path).acquire()
    assert not (run.path / OWNER).exists()


def test_a_run_under_way_is_neither_resumed_nor_scored(workspace, monkeypatch):
    stages, refusals = evaluate.stages, []

    def disturbed(work, cases, *engine):
        for other in (evaluate.resume, evaluate.rescore):
            with pytest.raises(RunError, match=r"is being written by process \d+") as refusal:
                other(RunFolder.open(work.folder.path))
            refusals.append(str(refusal.value))
        stages(work, cases, *engine)

    monkeypatch.setattr(evaluate, "stages", disturbed)
    run = evaluate.run(load_suite("small.toml"), "python:my_generator:generate", "runs")
    assert len(refusals) == 2
    assert len(run.rows(SampleRow)) == 16
    assert not (run.path / OWNER).exists()
    assert FILE not in run.head.files
    with RunFolder.open(run.path).lock.held():
        pass


def test_the_verdict_of_a_run_that_another_process_writes_is_not_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(gate_run, "PATIENCE", 0.0)
    run = make_run(tmp_path / "run", {"m": [1.0] * 24}, gates={"m": Gate(max_decrease=5.0)})
    with run.lock.held(), pytest.raises(RunError, match=r"is being written by process \d+"):
        gate_run.gate_run(RunFolder.open(run.path), run.path)
    assert gate_run.gate_run(run, run.path).rows


def test_runs_of_one_second_have_an_order_whatever_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = [now() for _ in range(3)]
    assert times == sorted(set(times))
    names = ["20260101-000000-c", "good", "20260101-000000-a"]
    for name, time in zip(names, ["2026-01-01T00:00:00Z", *times[:2]], strict=True):
        make_run(tmp_path / "runs" / name, {"m": [1.0] * 24}, started=time)
    assert [run.name for run in find_runs(Path("runs"))] == names
    assert resolve_run(Path("latest")).name == names[-1]
    make_run(tmp_path / "runs" / "29990101-000000-d", {"m": [1.0] * 24})
    Path("runs/29990101-000000-d/run.json").write_text("{")
    with pytest.raises(RunError, match=r"29990101-000000-d/run.json is damaged"):  # never an older run in its place
        resolve_run(Path("latest"))
