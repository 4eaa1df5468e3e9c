"""The documentation is a site whose links all lead somewhere."""

import os
import subprocess
import sys

from tests.conftest import ROOT


def test_the_site_is_built_strictly(tmp_path):
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-f",
        str(ROOT / ".mkdocs.yml"),
        "-d",
        str(tmp_path / "site"),
    ]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "first_hour/" in first
    assert "contributing/" in first
    assert not list((tmp_path / "site").rglob("*.py"))
