"""A reference set that cannot be used is one message before anything is generated; its path is relative to the suite."""

import json

import numpy as np
import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import SuiteError
from sora_eval.video.codec import write_clip
from tests.commands import sora_eval

ASKED = '[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["16x16"]\nframes = [4]\n'


@pytest.fixture
def place(tmp_path, network, rng, monkeypatch):
    """A suite in one folder, clips beside it, and a working folder elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("made", "real"):
        (tmp_path / name).mkdir()
        for i in range(4):
            write_clip(Clip(rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8), 8.0), tmp_path / name / f"{i}.mkv")
    (tmp_path / "p.jsonl").write_text('{"id": "a", "text": "a cat"}\n')

    def suite(spec, asked=""):
        metric = f"[metrics.kvd]\nnetwork = {json.dumps(str(network))}\n"
        (tmp_path / "s.toml").write_text(f'[suite]\nid = "s"\n{asked}[reference]\ngenerator = "{spec}"\n{metric}')
        return tmp_path / "s.toml"

    return tmp_path, suite


def test_its_path_is_relative_to_the_suite_also_where_the_run_is_scored_again_elsewhere(place, monkeypatch, tmp_path_factory):
    folder, suite = place
    run = evaluate.run(load_suite(suite("folder:real")), f"folder:{folder / 'made'}", folder / "runs")
    (row,) = [r for r in run.rows(MetricRow) if r.slice == "all"]
    assert row.value is not None
    assert row.reason.startswith("4 reference clips")
    (run.path / "features" / "reference-kvd.npz").unlink()
    monkeypatch.chdir(tmp_path_factory.mktemp("third"))
    again = [r.value for r in evaluate.rescore(run).rows(MetricRow) if r.slice == "all"]
    assert again == [pytest.approx(row.value)]


def test_that_of_the_command_line_is_relative_to_the_working_folder(place, monkeypatch):
    folder, suite = place
    monkeypatch.chdir(folder / "real")
    run = evaluate.run(load_suite(suite("folder:gone")), "folder:../made", folder / "runs", reference="folder:.")
    assert next(r for r in run.rows(MetricRow)).value is not None


@pytest.mark.parametrize(
    ("spec", "asked", "message"),
    [
        ("folder:gone", "", "neither a folder nor a manifest file"),
        ("folder:gone", ASKED, "neither a folder nor a manifest file"),
        ("folder:real", ASKED, "none of its 4 clips is of a prompt of the suite; give it a manifest with the suite's prompts"),
        ("folder:lost.csv", "", "none of its 1 files exists, for example .*x.mkv"),
        ("world", "", "the suite has no prompts; expected existing clips, for example 'folder:PATH'"),
        ("python:no_such:thing", "", "no_such"),
    ],
)
def test_one_that_cannot_be_used_is_one_message_and_leaves_no_run(place, spec, asked, message):
    folder, suite = place
    (folder / "lost.csv").write_text("path\nx.mkv\n")
    path = suite(spec, asked)
    generator = "world" if asked else f"folder:{folder / 'made'}"
    with pytest.raises(SuiteError, match=rf"s.toml: \[reference\].generator = '{spec}': .*{message}"):
        evaluate.run(load_suite(path), generator, folder / "runs")
    assert not (folder / "runs").exists()
    if spec != "world":
        done = sora_eval("validate", path)
        assert (done.returncode, done.stderr.count("error:")) == (2, 1), done.stderr
