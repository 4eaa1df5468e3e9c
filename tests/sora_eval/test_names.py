"""The names that are installed are nobody else's: a user's `reports` and `suites` are the user's."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

from sora_eval.generators.code_identity import code_hash
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.video.codec import read_clip
from tests.commands import sora_eval

ROOT = Path(__file__).parents[2]
FOLDERS = ("reports", "suites")  # of the repository
GENERATOR = """
import numpy as np
import reports
from suites import colours


def generate(request):
    import suites

    level = reports.LEVEL + suites.MORE + colours.MOST
    return np.full((request.num_frames, request.height, request.width, 3), level, np.uint8)
"""


def test_what_is_installed_has_names_of_its_own():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    names = {wheel["sources"].get(package, package) for package in wheel["packages"]}
    assert names == {"sora_eval", "reference_model", "sora_eval_reports", "sora_eval/shipped_suites"}


@pytest.mark.parametrize("folder", ["sora_eval", "reference_model", "reports", "docs/pages", "tests"])
def test_no_module_imports_a_folder_by_a_name_that_is_not_installed(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
        assert not {name.partition(".")[0] for name in names} & set(FOLDERS), file


def test_a_generator_imports_its_own_reports_and_suites(workspace, monkeypatch):
    (workspace / "named.py").write_text(GENERATOR)
    (workspace / "reports.py").write_text("LEVEL = 100\n")
    (workspace / "suites").mkdir()
    (workspace / "suites" / "__init__.py").write_text("MORE = 20\n")
    (workspace / "suites" / "colours.py").write_text("MOST = 3\n")
    for name in ("named", "reports", "suites", "suites.colours"):  # set first, so that what the test imports goes again
        monkeypatch.setitem(sys.modules, name, sys)
        del sys.modules[name]
    done = sora_eval("run", "small.toml", "-g", "python:named:generate", "--limit", 1, "--out", "runs")
    assert done.returncode == 0, done.stderr
    assert "temporal_flickering" in done.stdout  # its table is ours
    assert sora_eval("show", next((workspace / "runs").iterdir())).returncode == 0
    assert "quick" in sora_eval("list", "suites").stdout
    run = RunFolder.open(next((workspace / "runs").iterdir()))
    assert (read_clip(run.clip_file(run.rows(SampleRow)[0].clip)).frames == 123).all()
    identity = code_hash(sys.modules["named"].generate, "named", "generate")
    (workspace / "reports.py").write_text("LEVEL = 101\n")
    assert code_hash(sys.modules["named"].generate, "named", "generate") != identity
