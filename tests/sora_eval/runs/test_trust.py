"""A run folder may be a stranger's: nothing in it leads out of it, runs or is opened, unless the user says so."""

import json
import os
import shutil
import stat
import tomllib

import numpy as np
import pytest
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.trust import is_shipped
from sora_eval.records.clip import Clip
from sora_eval.runs.find import resolve_run
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow, SampleRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import RunError
from sora_eval.util.ownership import key_file
from sora_eval.util.sealed import sealed, unsealed
from sora_eval.video.codec import write_clip
from sora_eval_reports.page.page import render
from sora_eval_reports.source import open_source
from tests.runs import drawn_run, edit, moving_square

SUITE = '[suite]\nid = "mine"\n[metrics.temporal_flickering]\n'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """This user's cache folder; `elsewhere` makes the user another one."""
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    return lambda: monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "another"))


@pytest.fixture
def videos(tmp_path):
    (tmp_path / "videos").mkdir()
    for name in "ab":
        write_clip(Clip(moving_square(32, 32, 4, "red"), 8.0), tmp_path / f"videos/{name}.mkv")
    (tmp_path / "mine.toml").write_text(SUITE)
    return tmp_path / "videos"


def run_of(videos):
    return evaluate.run(load_suite(videos.parent / "mine.toml"), f"folder:{videos}", videos.parent / "runs")


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def pictures(*runs, trust=False):
    return render(open_source([r.path for r in runs], trust)).count("data:image/webp")


def test_the_key_is_the_users_alone(tmp_path, cache):
    run = drawn_run(tmp_path, "r")
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert [p.name for p in cache.iterdir()] == ["run-key"]
    assert run.trusted
    key_file().chmod(0o644)  # now others could sign
    assert not run.trusted


@pytest.mark.parametrize("fault", ["gone", "short", "a file where the cache would be"])
def test_without_a_key_nothing_is_ones_own(tmp_path, cache, fault):
    run = drawn_run(tmp_path, "r")
    if fault == "short":
        key_file().write_bytes(b"x")
    else:
        shutil.rmtree(cache)
    if fault.startswith("a file"):
        cache.write_text("")
    assert not run.trusted
    assert not drawn_run(tmp_path, "s", clips=False).trusted or fault == "gone"


def test_an_own_run_keeps_its_signature_where_it_is_whole(tmp_path):
    run = drawn_run(tmp_path, "r")
    run.finish()
    assert run.trusted
    moved = RunFolder(shutil.move(run.path, tmp_path / "moved"))
    assert moved.trusted
    moved.repair()  # unfinished again: rows of a stranger could be added to it
    assert moved.trusted
    assert not RunFolder(shutil.move(moved.path, tmp_path / "again")).trusted


def test_a_strangers_run_stays_one_whatever_is_written_to_it(tmp_path, elsewhere):
    run = drawn_run(tmp_path, "r")
    elsewhere()
    run.update_head(status="started")
    run.finish()
    RunFolder.open(run.path, trust=True).update_head(command="again")
    assert not run.trusted


def test_a_changed_head_is_no_longer_signed(tmp_path):
    run = drawn_run(tmp_path, "r")
    head = unsealed(json.loads((run.path / "run.json").read_text()))
    (run.path / "run.json").write_text(json.dumps(sealed({**head, "command": "another"})))
    assert not run.trusted
    assert run.head.command == "another"


def test_an_own_run_of_a_folder_shows_and_scores_its_clips(videos, elsewhere):
    run = run_of(videos)
    assert [r.clip for r in run.rows(SampleRow)] == [str(videos / "a.mkv"), str(videos / "b.mkv")]
    assert pictures(run) == 2
    assert invoke("score", run.path).exit_code == 0
    assert pictures(run) == 2
    elsewhere()
    page = render(open_source([run.path]))
    assert page.count("data:image/webp") == 0
    assert "2 of 2 clips lie outside of the run folder and are not shown" in page
    assert pictures(run, trust=True) == 2
    assert invoke("report", run.path).exit_code == 0
    refused = invoke("score", run.path)
    assert refused.exception.args[0].startswith(
        f"{run.path} was not made here by you, and it would open the generator 'folder:"
    )
    assert invoke("score", run.path, "--trust").exit_code == 0


@pytest.mark.parametrize("way", ["../secret.mkv", "ABSOLUTE", "clips/link.mkv", "clips/../../secret.mkv"])
def test_a_clip_that_leads_out_is_not_followed(tmp_path, elsewhere, way):
    write_clip(Clip(moving_square(32, 32, 9, "green"), 8.0), tmp_path / "secret.mkv")
    run = drawn_run(tmp_path, "r")
    secret = Clip(moving_square(32, 32, 9, "green"), 8.0).sha256
    clip = str(tmp_path / "secret.mkv") if way == "ABSOLUTE" else way
    if "link" in way:
        (run.path / way).symlink_to(tmp_path / "secret.mkv")
    edit(run, SampleRow, lambda r: {**r, "clip": clip, "sha256": secret} if r["width"] == 32 else r)
    whole = pictures(run)
    elsewhere()
    assert 0 < pictures(run) < whole
    assert pictures(run, trust=True) == whole
    with pytest.raises(RunError, match="lies outside of the run folder"):
        run.clip_file(clip)


@pytest.mark.parametrize(
    "name", ["run.json", "suite.json", "samples.jsonl", "features", "features/fvd.npz", "report", "x.part"]
)
def test_a_link_out_of_the_folder_is_refused(tmp_path, elsewhere, name):
    run = drawn_run(tmp_path, "r")
    target = tmp_path / name.replace("/", "-")
    if (run.path / name).exists():
        shutil.move(run.path / name, target)
    (run.path / name).symlink_to(target)
    if name != "run.json":
        assert resolve_run(run.path).rows(SampleRow)  # a link of one's own
    elsewhere()
    for arguments in (("report",), ("compare", run.path), ("gate",), ("run", "--resume"), ("score",), ("baseline", "promote")):
        result = invoke(*arguments, run.path)
        message = str(result.exception or result.output)
        assert result.exit_code != 0 or arguments[0] == "report", arguments
        if arguments[0] != "report":
            assert f"{run.path / name} leads out of the run folder or is no file" in message, arguments
    assert not target.is_dir() or not list(target.iterdir())


def test_what_is_no_file_is_not_opened(tmp_path, elsewhere):
    run = drawn_run(tmp_path, "r", clips=False)
    elsewhere()
    os.mkfifo(run.path / "scores.jsonl.part")
    with pytest.raises(RunError, match="leads out of the run folder or is no file"):
        run.rows(SampleRow)


def test_no_clip_is_written_through_a_link(tmp_path, elsewhere):
    run = drawn_run(tmp_path, "r")
    (run.path / "clips/p9.part.mkv").symlink_to(tmp_path / "target")
    elsewhere()
    assert run.rows(SampleRow)
    with pytest.raises(RunError, match=r"p9.part.mkv leads out of the run folder"):
        run.repair()


@pytest.mark.parametrize("name", ["../../x", "/x", "..", "a/b", ""])
def test_names_of_metrics_are_no_paths(tmp_path, name):
    run = drawn_run(tmp_path, "r", clips=False)
    np.savez(tmp_path / "x.npz", ids=["a"], values=np.zeros((1, 2)))
    edit(run, MetricRow, lambda r: {**r, "metric": name} if r["metric"] == "clip_score" else r)
    for action in (run.load_features, lambda n: run.save_features(n, [], np.zeros((0, 2)))):
        with pytest.raises(RunError, match=r"a metric has the name .*; expected 1 to 200 letters"):
            action(name)


HOSTILE = {
    "python:evil:f": "open the generator 'python:evil:f'",
    "someones:thing": "open the generator 'someones:thing'",
    "diffusers:evil/model": "open the generator 'diffusers:evil/model'",
    "folder:/home": "open the generator 'folder:/home'",
    "reference:../evil": "open the generator 'reference:../evil'",
    "reference?refine=http://evil/v1&refine_model=x": "open the generator 'reference[?]refine=http://evil/v1",
}
TABLES = {
    '[metrics."evil:Metric"]': "import the metric 'evil:Metric'",
    "[metrics.clip_score]\nmodel = '/evil.pt'": r"load \[metrics.clip_score\].model = '/evil.pt'",
    "[reference]\ngenerator = 'python:evil:f'": "take its reference set from 'python:evil:f'",
    "[oracles]\ngenerators = ['world', 'python:evil:f']": "open the oracle 'python:evil:f'",
}


@pytest.mark.parametrize(
    ("spec", "table", "message"), [*((s, "", m) for s, m in HOSTILE.items()), *(("world", t, m) for t, m in TABLES.items())]
)
def test_a_strangers_run_opens_nothing_of_others(tmp_path, monkeypatch, elsewhere, spec, table, message):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')\n")
    run = drawn_run(tmp_path, "r")
    data = {"suite": {"id": "made"}, "metrics": {"temporal_flickering": {}}}
    if table:
        data |= {k: ({**data.get(k, {}), **v} if k == "metrics" else v) for k, v in tomllib.loads(table).items()}
    (run.path / "suite.json").write_text(json.dumps({"declared": data, "prompts": []}))
    run.update_head(generator=run.head.generator.model_copy(update={"spec": spec}))
    elsewhere()
    for arguments in (("score", run.path), ("run", "--resume", run.path)):
        result = invoke(*arguments)
        assert isinstance(result.exception, RunError)
        with pytest.raises(RunError, match=message):
            raise result.exception
    assert not (tmp_path / "owned").exists()


def test_a_strangers_run_reads_no_file_that_its_prompts_name(tmp_path, elsewhere):
    run = drawn_run(tmp_path, "r")
    declared = {"suite": {"id": "made"}, "prompts": {"file": "p.jsonl"}, "axes": {"shapes": ["32x32"], "frames": [9]}}
    prompts = [{"id": "a", "text": "a ball", "image": "/etc/passwd", "sha256": "0" * 64}]
    suite = {"declared": {**declared, "metrics": {"temporal_flickering": {}}}, "prompts": prompts}
    (run.path / "suite.json").write_text(json.dumps(suite))
    elsewhere()
    result = invoke("run", "--resume", run.path)
    assert isinstance(result.exception, RunError)
    assert "begin clips with the frames of '/etc/passwd'" in str(result.exception)


def test_specs_that_need_no_trust():
    assert all(map(is_shipped, ["reference", "reference:early?steps=5&device=cpu", "world", "vae:base"]))
    assert not any(map(is_shipped, ["", "reference?refine", "folder:x", "reference:a/b", "python:a:b", "my-package"]))


def test_trust_is_of_resume_only():
    result = invoke("run", "quick", "--trust")
    assert "--trust is of --resume" in str(result.exception)
