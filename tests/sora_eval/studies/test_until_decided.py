"""`run --until-decided`: fewer prompts where they are enough, the same verdict afterwards, and nothing lost by a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reference_model.world.prompts import sample_prompts
from sora_eval.compare.run_data import data_of
from sora_eval.gate import baseline
from sora_eval.gate.judge import gate
from sora_eval.pipeline import run as evaluate
from sora_eval.records.verdict import Verdict
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow
from sora_eval.studies import until_decided as sizing
from sora_eval.suite import load_suite
from sora_eval.util.errors import BaselineError, SuiteError
from tests.commands import sora_eval

SUITE = """
[suite]
id = "sized"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["32x32"]
frames = [5]
[metrics.temporal_flickering]
[gates.temporal_flickering]
max_decrease = 1.0
"""
GENERATE, NOISY = "python:my_generator:generate", "python:my_generator:noisy"
MAIN = [sys.executable, "-c", "from sora_eval.cli import main; main()"]
MORE = """

import os

def unsteady(request):
    return generate(request) if request.seed % 5 else noisy(request)


def stops(request):
    if os.environ.get("STOP") == request.prompt:
        raise KeyboardInterrupt
    return noisy(request)


def slow_noisy(request):
    time.sleep(0.2)
    return noisy(request)
"""


@pytest.fixture
def base(workspace):
    """A suite of 16 prompts with one gate, and a run of it to compare with."""
    prompts = sample_prompts(16, 5)
    (workspace / "prompts.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
    (workspace / "sized.toml").write_text(SUITE)
    (workspace / "my_generator.py").write_text((workspace / "my_generator.py").read_text() + MORE)
    return evaluate.run(load_suite("sized.toml"), GENERATE, "base")


def decide(base, generator=NOISY, **options):
    return sizing.run_until_decided(load_suite("sized.toml"), generator, "runs", base.path, **{"batch": 4, **options})


def rows(folder):
    """What a run says, times left out."""
    return {
        t: [r.model_dump(exclude={"seconds", "peak_bytes"}) for r in folder.rows(t)] for t in (SampleRow, ScoreRow, MetricRow)
    }


def test_a_large_change_is_decided_on_whole_prompts_before_the_pool_is_used_up(base):
    folder, result = decide(base, spending="pocock")
    head = folder.head
    assert result.verdict is Verdict.REGRESSED
    used = list(head.sequential.prompts)
    assert used == [p.id for p in load_suite("sized.toml").prompt_list][: len(used)]
    assert len(used) < 16
    assert [s.prompt_id for s in folder.rows(SampleRow)] == used
    assert (head.status, head.partial, head.sequential.decided) == ("success", False, True)
    assert result.headline.endswith(f"decided after {len(used)} of 16 prompts")
    # A gate of the run on disk says the same as its last look, against the run and against the file it is promoted to.
    assert gate(folder, base, stored_suite(folder).gates) == result
    base.update_head(git={"commit": "c0ffee", "dirty": False})
    promoted = baseline.read(baseline.promote([base], Path("b.json")))
    assert gate(folder, promoted, stored_suite(folder).gates).rows == result.rows
    with pytest.raises(BaselineError, match=f"after {len(used)} of 16 prompts"):
        baseline.promote([folder])
    before = rows(folder)
    evaluate.rescore(folder)
    assert rows(folder) == before


def test_what_stays_open_uses_the_pool_and_is_then_the_run_that_asked_all(base):
    folder, result = decide(base, "python:my_generator:unsteady", batch=8)
    whole = evaluate.run(load_suite("sized.toml"), "python:my_generator:unsteady", "whole")
    looks = folder.head.sequential.looks
    assert [(look.prompts, look.verdict) for look in looks] == [(8, "INCONCLUSIVE"), (16, "INCONCLUSIVE")]
    assert sum(look.alpha for look in looks) == pytest.approx(0.05)
    assert result.headline == "gate: INCONCLUSIVE (1 gate); undecided after 16 of 16 prompts"
    assert (result.exit_code, replace(result, strict=True).exit_code) == (0, 11)
    assert rows(folder) == rows(whole)


def test_a_set_metric_is_compared_on_the_prompts_asked_with_the_whole_reference_set(base, workspace, network):
    added = f'[reference]\ngenerator = "world"\n[metrics.kvd]\nnetwork = "{network}"\n[gates.kvd]\nmax_increase = 10.0\n'
    (workspace / "sized.toml").write_text(SUITE + added)
    base = evaluate.run(load_suite("sized.toml"), GENERATE, "sets")
    folder, result = decide(base, spending="pocock")
    asked = len(folder.head.sequential.prompts)
    row = next(r for r in result.rows if r.metric == "kvd")
    assert result.verdict is Verdict.REGRESSED
    assert asked < 16
    assert (row.n, row.base is not None, row.verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE)) == (asked, True, True)
    assert len(data_of(folder).references["kvd"][0]) == 16
    (value,) = [r.value for r in folder.rows(MetricRow) if r.metric == "kvd"]
    assert row.new == pytest.approx(value, rel=1e-5)


def test_interrupted_at_any_prompt_and_resumed_it_ends_like_an_undisturbed_run(base, monkeypatch):
    undisturbed, expected = decide(base, "python:my_generator:stops", spending="pocock")
    asked = len(undisturbed.rows(SampleRow))
    for place in (1, asked - 1):
        monkeypatch.setenv("STOP", load_suite("sized.toml").prompt_list[place].text)
        with pytest.raises(KeyboardInterrupt):
            decide(base, "python:my_generator:stops", spending="pocock")
        run = max(Path("runs").iterdir(), key=lambda p: p.stat().st_ctime)
        folder = RunFolder.open(run)
        assert folder.head.status == "cancelled"
        assert gate(folder, base, stored_suite(folder).gates).verdict is Verdict.ERROR
        monkeypatch.delenv("STOP")
        folder, result = sizing.resume(folder)
        assert rows(folder) == rows(undisturbed)
        assert folder.head.sequential == undisturbed.head.sequential
        assert result.rows == expected.rows
        again = sizing.resume(folder)[1]  # of a finished run: the same, and nothing is made anew
        assert (again.rows, again.headline) == (result.rows, result.headline)


def test_killed_on_the_command_line_and_resumed_the_last_line_and_the_exit_code_are_the_gate_s(base):
    spec = [
        "-g",
        "python:my_generator:slow_noisy",
        "--until-decided",
        "-b",
        str(base.path),
        "--batch",
        "8",
        "--spending",
        "pocock",
    ]
    process = subprocess.Popen([*MAIN, "run", "sized.toml", *spec], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        found = list(Path("runs").glob("*/samples.jsonl"))
        if found and found[0].read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = sora_eval("run", "--resume", "latest")
    assert done.returncode == 10, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last == "gate: REGRESSED (1 gate); decided after 8 of 16 prompts"
    run = next(Path("runs").iterdir())
    assert json.loads((run / "verdicts.json").read_text())["headline"] == last
    folder = RunFolder.open(run)
    later = gate(folder, base, stored_suite(folder).gates)
    assert (later.exit_code, later.headline) == (10, last)


# Bad input: one message, before anything is generated


def changed(workspace, old, new):
    text = (workspace / "sized.toml").read_text()
    assert old in text
    (workspace / "sized.toml").write_text(text.replace(old, new))


def test_bad_input_is_one_message_before_anything_is_generated(base, workspace):
    def refused(error, message, spec=NOISY, **options):
        with pytest.raises(error, match=message):
            decide(base, spec, **options)
        assert not Path("runs").exists()

    refused(SuiteError, "spending function 'pokock' is not known; did you mean 'pocock'", spending="pokock")
    side = data_of(base)
    base.update_head(files={})
    base.replace(SampleRow, list(side.samples.values())[:-1])
    refused(BaselineError, "lacks 1 of 16 cases of the pool, for example t015/32x32x5/0")
    base.replace(SampleRow, list(side.samples.values()))
    base.update_head(seed_offset=7)
    refused(BaselineError, "seeds shifted by 7")
    base.update_head(seed_offset=0, partial=True)
    refused(BaselineError, "the run is partial")
    base.update_head(partial=False)
    changed(workspace, "frames = [5]", "frames = [9]")
    refused(BaselineError, "is of suite sized version 1 .* make a baseline of this suite")
    with pytest.raises(BaselineError, match=r"gone\.json does not exist"):
        sizing.run_until_decided(load_suite("sized.toml"), NOISY, "runs", Path("gone.json"))
    with pytest.raises(BaselineError, match="holds no baseline of 'sized'"):
        sizing.run_until_decided(load_suite("sized.toml"), NOISY, "runs", Path("baselines"))
    changed(workspace, "[gates.temporal_flickering]\nmax_decrease = 1.0\n", "")
    refused(SuiteError, r"has no \[gates.\*\] that prompts decide")
    changed(workspace, '[prompts]\nfile = "prompts.jsonl"\n[axes]\nshapes = ["32x32"]\nframes = [9]\n', "")
    refused(SuiteError, r"has no \[prompts\]: --until-decided has no pool", spec="folder:base")


def test_another_baseline_on_resume_is_refused(base):
    folder, _ = decide(base)
    sized = folder.head.sequential
    folder.update_head(sequential=sized.model_copy(update={"baseline_run": "another"}))
    with pytest.raises(BaselineError, match="this run was begun against 'another': start a new one"):
        sizing.resume(folder)


OPTIONS = [
    (("--batch", "4"), "--batch: of --until-decided"),
    (("--baseline", "b.json", "--strict"), "--baseline, --strict: of --until-decided"),
    (("--until-decided", "--limit", "3"), "takes one generator, and no --limit"),
    (("--until-decided", "-g", "a", "-g", "b"), "takes one generator, and no --limit"),
    (("--until-decided", "--batch", "4"), "small.toml has no [gates.*] that prompts decide"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_options_that_do_not_go_together(workspace, options, message):
    done = sora_eval("run", "small.toml", *options)
    assert done.returncode == 2
    assert message in done.stderr
