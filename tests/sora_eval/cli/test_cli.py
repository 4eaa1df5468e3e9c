"""The command line: exit codes, one clear message, no traceback, no torch before it is needed."""

import subprocess
import sys

import pytest
import typer
from rich.markup import render
from typer.testing import CliRunner

from reference_model.__main__ import app as reference_model
from sora_eval.cli import app
from tests.commands import sora_eval

MAIN = "from sora_eval.cli import main; main()"


def fresh(code, *arguments):
    """A process of its own, for what only one that has loaded nothing yet can show."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [("--help",), ("list",), ("run", "--help")])
def test_help_and_lists_import_no_torch(arguments):
    code = f"import sys, atexit; atexit.register(lambda: print('TORCH' if 'torch' in sys.modules else 'LIGHT')); {MAIN}"
    done = fresh(code, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("LIGHT")


def texts(command, name="sora-eval"):
    """(verb, text) of every help text, as it is written."""
    for text in (command.help, command.epilog, *(getattr(p, "help", None) for p in command.params)):
        if text:
            yield name, text
    for verb, inner in getattr(command, "commands", {}).items():
        yield from texts(inner, f"{name} {verb}")


def test_brackets_in_help_are_text_and_not_markup():
    found = list(texts(typer.main.get_command(app)))
    assert len({name for name, _ in found}) > 10
    styles = {(name, str(span.style)) for name, text in found for span in render(text).spans}
    assert styles == {("sora-eval", "bold")}
    done = CliRunner().invoke(app, ["calibrate", "--help"])
    assert "[gates]" in done.output
    assert "\\[" not in done.output


def verbs(command, name):
    """(verb, command) of every verb that has no verbs of its own."""
    inner = getattr(command, "commands", {})
    for verb in inner:
        yield from verbs(inner[verb], f"{name} {verb}")
    if not inner:
        yield name, command


@pytest.mark.parametrize("program", [app, reference_model])
def test_every_out_has_its_short_form(program):
    outs = {name: p.opts for name, verb in verbs(typer.main.get_command(program), "") for p in verb.params if "--out" in p.opts}
    assert len(outs) >= 4
    assert all("-o" in options for options in outs.values()), outs


def test_import_of_the_package_and_the_plugin_is_light():
    code = "import sys, sora_eval, sora_eval.pytest_plugin; assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    assert fresh(code).returncode == 0


def test_a_run_ends_with_its_table_and_compare_report_and_list_follow(workspace):
    done = sora_eval("run", "small.toml", "-g", "python:my_generator:generate", "-g", "python:my_generator:noisy")
    assert done.returncode == 0, done.stderr
    assert "python:my_generator:generate against python:my_generator:noisy" in done.stdout
    names = sorted(p.name for p in (workspace / "runs").iterdir())
    compared = sora_eval("compare", *names, "--markdown")
    assert compared.returncode == 0, compared.stderr
    assert "| temporal_flickering" in compared.stdout
    report = sora_eval("report", "latest", "--out", "my_report")
    assert (workspace / "my_report/clips.png").stat().st_size > 1000, report.stderr
    listed = sora_eval("list", "runs")
    assert all(n in listed.stdout for n in names)
    scored = sora_eval("score", names[0])
    assert scored.returncode == 0, scored.stderr
    assert "temporal_flickering" in scored.stdout


def test_failed_cases_exit_12(workspace):
    done = sora_eval("run", "small.toml", "-g", "python:my_generator:broken")
    assert done.returncode == 12
    assert "cases" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "give a suite to run"),
        (
            ("run", "nothing"),
            "suite 'nothing' is neither a file nor shipped; shipped: continue, gate, gate-speed, held_out, physics_iq",
        ),
        (("run", "small.toml", "-g", "magic"), "generator 'magic' is not known; expected one of: reference"),
        (("run", "small.toml", "-g", "prompts.jsonl"), "it is a file or folder: say folder:prompts.jsonl for its clips"),
        (("run", "small.toml", "-g", "reference:lost"), "'lost' is neither shipped nor a folder"),
        (("run", "small.toml", "-g", "reference?bakend=torch"), "option 'bakend' is not known"),
        (("run", "small.toml", "-g", "reference?refine=maybe"), "neither true, false nor the address of an endpoint"),
        (("run", "small.toml", "-g", "reference?refine=http://x/v1"), "needs refine_model=NAME"),
        (("run", "small.toml", "-g", "reference?refine_model=x"), "refine_model is for an endpoint"),
        (("run", "small.toml", "-g", "reference?first_frames=4"), "first_frames=4 is not 1 + a multiple of 4"),
        (("run", "small.toml", "-g", "vae?refine=true"), "option 'refine' is not known"),
        (("run", "small.toml", "-g", "reference?device=cuda"), "device 'cuda' was asked for"),
        (("run", "small.toml", "-g", "python:my_generator"), "is not python:MODULE:NAME"),
        (("run", "small.toml", "-g", "python:gone:f"), "module 'gone' cannot be imported"),
        (("run", "small.toml", "-g", "python:my_generator:draw"), "my_generator has no 'draw'; it has:"),
        (("run", "videos", "-g", "folder:empty"), "holds no video"),
        (("run", "small.toml", "-g", "world", "--out", "small.toml"), "cannot write runs into small.toml"),
        (("run", "--resume", "gone"), "0 runs in ./runs start with it"),
        (("run", "quick", "--resume", "gone"), "give a suite to run, or --resume"),
        (("validate", "bad.toml"), "[axes].frames = 10 is not 1 + a multiple of 4; nearest valid: 9, 13"),
        (("compare", "empty", "empty"), "is not a run folder"),
        (("report", "empty"), "is not a run folder"),
        (("weights", "fetch", "dino"), "weights 'dino' are not known"),
        (("weights", "add", "i3d", "gone.tar.gz"), "gone.tar.gz does not exist"),
    ],
)
def test_what_a_user_can_mend_is_one_message_and_exit_2(workspace, arguments, message):
    (workspace / "empty").mkdir()
    (workspace / "bad.toml").write_text((workspace / "small.toml").read_text().replace("frames = [9]", "frames = [10]"))
    done = sora_eval(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_validate_says_what_it_found(workspace):
    done = sora_eval("validate", "small.toml")
    assert done.returncode == 0, done.stderr
    assert "valid; 16 cases, 3 metrics" in done.stdout
    assert "not checked" not in done.stdout


def test_validate_says_that_it_checked_no_shape_of_a_suite_for_another_generator(workspace):
    text = (workspace / "small.toml").read_text().replace("frames = [9]", "frames = [10]\nfps = 24")
    (workspace / "small.toml").write_text(text.split("[throughput]")[0])
    done = sora_eval("validate", "small.toml")
    assert done.returncode == 0, done.stderr
    assert "its shapes were not checked: the reference model has another rate than 24 fps" in done.stdout
    assert sora_eval("validate", "small.toml", "-g", "reference").returncode == 2


def test_unknown_options_exit_2():
    assert sora_eval("run", "--fast").returncode == 2


@pytest.mark.parametrize("options", [("--device", "cuda"), ("--generator-device", "cuda:7"), ("--device", "gpu")])
def test_a_device_that_is_absent_is_one_message_before_anything_is_made(options, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = sora_eval("run", "quick", "--out", tmp_path / "runs", *options)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"device {options[1]!r}" in done.stderr
    assert not (tmp_path / "runs").exists()
