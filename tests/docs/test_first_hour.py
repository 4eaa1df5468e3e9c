"""The page `first_hour.md` works as it stands: its files are saved, its commands run in fresh shells, in its order."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from sora_eval.records.clip import Clip
from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import ScoreRow
from sora_eval.video.codec import write_clip
from tests.conftest import ROOT
from tests.runs import moving_square

PAGE = (ROOT / "docs/first_hour.md").read_text()
BLOCKS = re.findall(r"```(\w+)(?: file=(\S+))?\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("hour")
    (root / "my_clips").mkdir()
    for name in ("a red square moves", "a red square moves to the right"):
        write_clip(Clip(np.ascontiguousarray(moving_square(64, 48, 17, "red")), 8.0), root / "my_clips" / f"{name}.mkv")
    for _, file, text in BLOCKS:
        if file:
            (root / file).write_text(text)
    return root


def test_the_page_is_short_and_every_block_is_a_file_or_commands():
    assert PAGE.count("\n") <= 100
    assert {language for language, file, _ in BLOCKS if not file} == {"sh", "bash"}


def test_the_first_block_is_the_readmes(folder):
    (install,) = [text for language, _, text in BLOCKS if language == "sh"]
    command = install.splitlines()[0]
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / "docs/installation.md").read_text()


def test_its_commands_lead_from_clips_to_a_gate(folder):
    kept = {
        key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "OMP_NUM_THREADS") if key in os.environ
    }
    path = os.pathsep.join([sysconfig.get_path("scripts"), "/usr/bin", "/bin"])
    environment = {**kept, "PATH": path, "PYTHONPATH": str(ROOT)}  # the checkout under test, whatever is installed
    for text in (text for language, _, text in BLOCKS if language == "bash"):
        done = subprocess.run(
            ["bash", "-e", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert done.stdout.splitlines()[-1].startswith("gate: INCONCLUSIVE")  # as the page says of two prompts
    assert (folder / "clips.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    (first,) = find_runs(folder / "first")
    assert {row.status for row in first.rows(ScoreRow)} == {"ok"}
    assert (folder / "baselines" / "mine.json").is_file()


def test_links_lead_to_pages():
    for target in re.findall(r"\]\(([\w.]+\.md)", PAGE):
        assert Path(ROOT, "docs", target).is_file(), target
