"""Folders in every layout, run from the command line as a user would."""

from pathlib import Path

import pytest

from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import MetricRow, SampleRow
from tests.commands import sora_eval
from tests.sora_eval.formats.folders import LAYOUTS, PROMPTS

TWELVE = (
    "vbench",
    "prompts",
    "videofolder",
    "webdataset",
    "openvid",
    "panda",
    "physics-iq",
    "steps",
    "plain",
    "frames",
    "webp",
    "pt",
)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("layouts.toml").write_text('[suite]\nid = "layouts"\n[metrics.temporal_flickering]\n')
    return "layouts.toml"


def test_every_layout_is_a_run_whose_head_names_it(suite: str) -> None:
    for name in TWELVE:
        make, layout, options = LAYOUTS[name]
        make(Path("clips", name))
        done = sora_eval("run", suite, "-g", f"folder:clips/{name}{options}", "--out", f"runs/{name}")
        assert done.returncode == 0, done.stderr + done.stdout
        (run,) = find_runs(Path("runs", name))
        assert run.head.generator.layout == layout
        samples = run.rows(SampleRow)
        assert [r.status for r in samples] == ["ok"] * 10, name
        assert {r.prompt for r in samples} == ({""} if name == "plain" else set(PROMPTS))
        (row,) = [r for r in run.rows(MetricRow) if r.slice == "all"]
        assert (row.n_expected, row.n_scored) == (10, 10)
        assert row.method == "none: fewer than 3 prompts", name  # ten clips of as many prompts would have an interval


def test_a_folder_of_training_outputs_is_a_run_per_step(suite: str) -> None:
    LAYOUTS["steps"][0](Path("out"))
    done = sora_eval("run", suite, "-g", "folder:out")
    assert done.returncode == 0, done.stderr
    heads = [run.head.generator for run in find_runs(Path("runs"))]
    assert sorted((h.training_steps, h.spec, h.checkpoint) for h in heads) == [
        (500, "folder:out?step=500", "out/step_500"),
        (1000, "folder:out?step=1000", "out/step_1000"),
    ]
    assert "[layout vbench]" not in done.stdout
    shown = sora_eval("run", suite, "-g", "folder:out?step=500").stdout
    assert "layouts: folder:out/step_500, layout vbench" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("folder:clips?layout=vbenhc", "layout=vbenhc is not known; did you mean 'vbench'"),
        ("folder:clips?layout=webvid", "layout=webvid: expected a table with the columns videoid and name"),
        ("folder:clips?step=5", "no folder of its clips names a step, such as step_1000"),
        ("folder:clips?clips=webp", "holds no clips of the kind webp"),
        ("folder:clips/a.mp4", "for a clip, name its folder: folder:clips"),
    ],
)
def test_a_layout_that_does_not_fit_is_one_message(suite: str, arguments: str, message: str) -> None:
    LAYOUTS["vbench"][0](Path("clips"))
    Path("clips/a.mp4").touch()
    done = sora_eval("run", suite, "-g", arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not Path("runs").exists()


def test_a_suite_of_other_prompts_than_those_of_the_clips_is_refused_before_anything_is_read(suite: str) -> None:
    LAYOUTS["vbench"][0](Path("clips"))
    Path("prompts.jsonl").write_text('{"id": "a", "text": "nobody drew this"}\n{"id": "b", "text": "nor this"}\n')
    axes = '[prompts]\nfile = "prompts.jsonl"\n[axes]\nshapes = ["32x32"]\nframes = [9]\n'
    Path("other.toml").write_text(f'[suite]\nid = "other"\n{axes}[metrics.temporal_flickering]\n')
    for verb in ("run", "validate"):
        done = sora_eval(verb, "other.toml", "-g", "folder:clips")
        assert done.returncode == 2
        expected = f"its 2 prompts, and folder:clips has clips of {len(PROMPTS)} prompts, none of them of the suite"
        assert expected in done.stderr
    assert not Path("runs").exists()
    Path("prompts.jsonl").write_text(f'{{"id": "a", "text": "{PROMPTS[0]}"}}\n{{"id": "b", "text": "nor this"}}\n')
    assert sora_eval("validate", "other.toml", "-g", "folder:clips").returncode == 0
