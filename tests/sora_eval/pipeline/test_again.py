"""Failed cases are tried again, and a fault of the whole run ends it early."""

import json
import sys

import pytest

from sora_eval.pipeline import again
from sora_eval.pipeline import run as evaluate
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import GeneratorError
from tests.commands import sora_eval
from tests.sora_eval.pipeline.test_run import tables

SUITE = """
[suite]
id = "s"
[prompts]
file = "p.jsonl"
[axes]
shapes = ["16x8"]
frames = [3]
seeds = [0, 1]
[metrics.temporal_flickering]
"""
GENERATOR = """
import json
from pathlib import Path

import numpy as np


def generate(request):
    with Path("asked").open("a") as file:
        file.write(request.prompt + "\\n")
    down = json.loads(Path("down.json").read_text())
    if request.prompt in down or "all" in down:
        raise RuntimeError(f"job-{request.seed}x is lost")
    rng = np.random.default_rng(request.seed)
    return rng.integers(0, 256, (request.num_frames, request.height, request.width, 3), np.uint8)


generate.fingerprint = "v1"
"""
PROMPTS = [f"p{i}" for i in range(8)]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "s.toml").write_text(SUITE)
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"id": p, "text": p}) + "\n" for p in PROMPTS))
    (tmp_path / "flaky.py").write_text(GENERATOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    down()
    yield tmp_path
    sys.modules.pop("flaky", None)


def down(*prompts, folder="down.json"):
    evaluate.Path(folder).write_text(json.dumps(prompts))
    evaluate.Path("asked").unlink(missing_ok=True)


def asked():
    path = evaluate.Path("asked")
    return path.read_text().split() if path.exists() else []


def run(out="runs", **options):
    return evaluate.run(load_suite("s.toml"), "python:flaky:generate", out, **options)


@pytest.mark.parametrize("failed", [("p0",), ("p3", "p7"), tuple(PROMPTS[1:])])
def test_a_resumed_run_asks_for_the_failed_cases_alone_and_ends_like_an_undisturbed_one(failed):
    whole = tables(run())
    down(*failed)
    broken = run("broken")
    assert (broken.head.status, broken.head.failed_cases) == ("success", 2 * len(failed))
    down()
    mended = evaluate.resume(RunFolder.open(broken.path))
    assert asked() == [p for p in failed for _ in range(2)]
    assert tables(mended) == whole
    assert (mended.head.status, mended.head.failed_cases) == ("success", 0)


def test_what_fails_again_is_a_row_again():
    down("p2", "p5")
    broken = run()
    down("p5")
    evaluate.resume(RunFolder.open(broken.path))
    errors = {r.prompt_id: r.error for r in broken.rows(SampleRow) if r.status == "error"}
    assert set(errors) == {"p5"}
    assert {r.id.partition("/")[0] for r in broken.rows(ScoreRow) if r.status == "error"} == {"p5"}
    assert broken.head.failed_cases == 2


def test_errors_may_be_kept():
    down("p2")
    broken = run()
    before = tables(broken)
    down()
    kept = evaluate.resume(RunFolder.open(broken.path), keep_errors=True)
    assert tables(kept) == before
    assert asked() == []


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5])
def test_a_kill_at_any_replacement_of_a_table_loses_nothing(monkeypatch, calls):
    whole = tables(run())
    down("p1", "p6")
    broken = run("broken")
    down()
    replace, left = RunFolder.replace, [calls]

    def or_die(self, row, rows):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        replace(self, row, rows)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "replace", or_die)
        with pytest.raises(KeyboardInterrupt):
            evaluate.resume(RunFolder.open(broken.path))
    assert tables(evaluate.resume(RunFolder.open(broken.path))) == whole


def test_a_fault_of_all_first_cases_ends_the_run_and_is_named():
    down("all")
    with pytest.raises(GeneratorError, match=r"the first 8 cases failed for one reason, and the other 8 were not asked for"):
        run()
    (stopped,) = find_runs(evaluate.Path("runs"))
    assert len(asked()) == len(stopped.rows(SampleRow)) == 8
    assert "job-" in stopped.head.error
    assert stopped.head.status == "error"
    down()
    assert tables(evaluate.resume(RunFolder.open(stopped.path))) == tables(run("other"))


def test_it_ends_at_the_number_that_is_asked_for_and_never_with_none():
    down("all")
    with pytest.raises(GeneratorError, match="the first 3 cases failed"):
        run(give_up=3)
    down("all")
    assert run("other", give_up=0).head.failed_cases == 16
    assert len(asked()) == 16


def test_several_reasons_and_one_clip_before_them_are_no_fault_of_all():
    down(*PROMPTS[1:])
    assert run(give_up=2).head.failed_cases == 14  # after one clip
    rows = [
        SampleRow(id=str(i), prompt_id="p", status="error", error=e) for i, e in enumerate(("slow", "lost", "lost", "lost"))
    ]
    failures = again.Failures(2, [])
    for row in rows:
        failures.add(row, "g", 9)


def test_failures_of_an_earlier_part_of_the_run_count():
    rows = [SampleRow(id=str(i), prompt_id="p", status="error", error=f"job {i} lost") for i in range(9)]
    again.Failures(8, rows[:7]).add(rows[7], "g", 0)  # the last case: nothing is left to be spared
    with pytest.raises(GeneratorError, match="the first 8 cases"):
        again.Failures(8, rows[:7]).add(rows[7], "g", 1)


def test_the_command_line_tries_again_keeps_and_gives_up(monkeypatch):
    down("p4")
    done = sora_eval("run", "s.toml", "-g", "python:flaky:generate", "-o", "runs")
    assert done.returncode == 12
    assert "try them again: sora-eval run --resume" in " ".join(done.stdout.split())
    (path,) = evaluate.Path("runs").iterdir()
    down()
    assert sora_eval("run", "--resume", path, "--keep-errors").returncode == 12
    assert sora_eval("run", "--resume", path).returncode == 0
    down("all")
    done = sora_eval("run", "s.toml", "-g", "python:flaky:generate", "-o", "other", "--give-up-after", 2)
    assert done.returncode == 2
    assert "the first 2 cases failed for one reason" in done.stderr
    assert sora_eval("run", "s.toml", "--keep-errors").returncode == 2
