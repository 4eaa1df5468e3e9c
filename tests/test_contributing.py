"""The recipes of CONTRIBUTING.md work as they stand: each block is a file, or is run as it would be in a shell."""

import os
import re
import shlex
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from sora_eval.generators.folder import FolderGenerator
from sora_eval.generators.opening import open_generator
from sora_eval.metrics.create import create
from sora_eval.records.request import Request
from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import MetricRow
from tests.conftest import ROOT
from tests.packages import install

SCRIPT = Path(sysconfig.get_path("scripts"), "sora-eval")
BLOCKS = re.findall(r"```(\w+)(?: file=(\S+))?\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("recipes")
    for _, file, text in BLOCKS:
        if file:
            (root / file).write_text(text)
    return root


def test_every_block_is_a_file_or_commands():
    assert {(file, language) for language, file, _ in BLOCKS} == {
        ("my_metrics.py", "python"),
        ("my_model.py", "python"),
        ("my_package.py", "python"),
        ("my_suite.toml", "toml"),
        ("my_prompts.jsonl", "json"),
        ("pyproject.toml", "toml"),
        ("", "bash"),
    }


def test_a_metric_a_generator_and_a_suite_go_from_the_command_line_to_the_report(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # nothing of the test's own working folder or path
    commands = [shlex.split(line) for language, _, text in BLOCKS if language == "bash" for line in text.splitlines()]
    for name, *arguments in commands:
        assert name == "sora-eval"
        subprocess.run([SCRIPT, *arguments], cwd=folder, env=environment, check=True, capture_output=True, timeout=300)
    (run,) = find_runs(folder / "runs")
    rows = {r.metric: r for r in run.rows(MetricRow) if r.slice == "all"}
    assert rows["brightness"].n_scored == 4
    assert abs(rows["brightness"].value - 127.5 / 2) < 2
    assert (rows["brightness"].family, rows["brightness"].declared) == ("picture", "my_metrics:Brightness")
    assert rows["brightness"].sensitive_to == ("resolution", "aspect", "length")
    assert run.head.generator.fingerprint == "noise-1"
    report = run.path / "report"
    assert "| brightness" in (report / "report.md").read_text()
    header, *lines = (report / "metrics.csv").read_text().splitlines()
    columns = header.split(",")
    families = {dict(zip(columns, line.split(","), strict=False))["family"] for line in lines if ",brightness," in line}
    assert families == {"picture"}


def test_the_names_of_a_package_are_found_by_its_entry_points(folder, tmp_path, monkeypatch):
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    install(tmp_path, f"{project['name']}-{project['version']}", project["entry-points"])
    (tmp_path / "manifest.psv").write_text("path|prompt\na.mp4|an apple\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert create("brightness", {"gain": 2.0}).signature == "brightness|mean-rgb|gain:2"
    (clip,) = open_generator("noise?strength=9").generate([Request("", 8, 8, 3, 8.0, 0)])
    assert clip.frames.max() == 8
    assert [c.prompt.text for c in FolderGenerator(tmp_path / "manifest.psv").cases()] == ["an apple"]
