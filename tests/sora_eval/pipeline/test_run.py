"""A run leaves whole rows behind, whatever happens to it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow, TimingRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import RunError, SuiteError
from tests.sora_eval.video.test_codec import encode

STABLE = (SampleRow, ScoreRow, MetricRow)


def tables(run: RunFolder) -> dict:
    """Rows without what differs between any two runs: times and memory."""
    out = {}
    for row in STABLE:
        rows = [r.model_dump(exclude={"seconds", "peak_bytes"}) for r in run.rows(row)]
        out[row.table] = [r for r in rows if r.get("family") != "speed"]
    return out


def run_small(generator="python:my_generator:generate", **options):
    return evaluate.run(load_suite("small.toml"), generator, evaluate.Path("runs"), **options)


def test_every_case_has_its_rows_and_every_number_its_signature(workspace):
    run = run_small()
    suite = load_suite("small.toml")
    ids = [c.id for c in suite.cases]
    assert [r.id for r in run.rows(SampleRow)] == ids
    outputs = {"temporal_flickering", "clip_score"} | {
        f"physics_laws.{law}" for law in ("permanence", "continuity", "rigidity", "free_fall", "collision", "support")
    }
    assert {(r.id, r.metric) for r in run.rows(ScoreRow)} == {(i, m) for i in ids for m in outputs}
    for row in run.rows(MetricRow):
        assert row.signature
        assert row.n_expected >= row.n_scored
        if row.status == "ok" and row.low is not None:
            assert row.low <= row.value + 1e-9
            assert row.value <= row.high + 1e-9
    whole = {r.metric: r.value for r in run.rows(MetricRow) if r.slice == "all"}
    assert whole["physics_laws.permanence"] == 1.0
    stages = {(r.stage, r.repeat) for r in run.rows(TimingRow)}
    assert stages == {("first", 0), ("whole", 0), ("whole", 1)}
    head = run.head
    assert (head.status, head.partial, head.failed_cases) == ("success", False, 0)
    assert head.networks == {"device": "cpu", "provider": "CPUExecutionProvider"}
    assert head.suite.fingerprint == suite.fingerprint


def test_two_runs_of_one_generator_have_the_same_numbers(workspace):
    assert tables(run_small()) == tables(run_small())


def test_a_limit_makes_a_partial_run_of_the_same_cases(workspace):
    whole, part = run_small(), run_small(limit=5)
    assert part.head.partial is True
    assert tables(part)["samples"] == tables(whole)["samples"][:5]


def test_failures_are_rows_with_found_and_expected_and_the_rest_is_scored(workspace):
    run = run_small("python:my_generator:broken")
    rows = {r.id: r for r in run.rows(SampleRow)}
    errors = [r.error for r in rows.values() if r.status == "error"]
    assert any(e == "RuntimeError: no red today" for e in errors)
    assert any("NaN or infinite" in e for e in errors)
    assert any("found frames (8, 32, 32, 3), expected (9, 32, 32, 3)" in e for e in errors)
    assert any("NoneType; expected an array" in e for e in errors)
    assert 0 < len(errors) < len(rows)
    for row in run.rows(ScoreRow):
        if rows[row.id].status == "error":
            assert (row.value, row.status) == (None, "error")
    flicker = next(r for r in run.rows(MetricRow) if r.metric == "temporal_flickering" and r.slice == "all")
    assert flicker.n_expected == len(rows)
    assert flicker.n_scored == len(rows) - len(errors)
    assert "clips that failed" in flicker.reason


def test_a_missing_weight_is_an_error_row_and_the_rest_goes_on(workspace):
    text = (workspace / "small.toml").read_text()
    (workspace / "small.toml").write_text(text.replace("[metrics.clip_score]", '[metrics.clip_score]\nmodel = "no/such"'))
    run = run_small(limit=3)
    row = next(r for r in run.rows(MetricRow) if r.metric == "clip_score")
    assert (row.status, row.value, row.n_scored) == ("error", None, 0)
    assert "neither 'world', a folder of open_clip or transformers, nor" in row.reason
    assert run.head.failed_metrics == 1
    assert next(r for r in run.rows(MetricRow) if r.metric == "temporal_flickering").n_scored == 3


def _kill_when(arguments, run_root, table, rows):
    """Start a run and SIGKILL it once a table has so many rows."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from sora_eval.cli import main; main()", "run", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        files = list(run_root.glob(f"*/{table}.jsonl"))
        if files and files[0].read_bytes().count(b"\n") >= rows:
            break
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_twice_and_resumed_a_run_ends_like_an_undisturbed_one(workspace):
    whole = run_small("python:my_generator:slow")
    root = workspace / "killed"
    _kill_when(["small.toml", "-g", "python:my_generator:slow", "--out", str(root)], root, "samples", 5)
    run = next(root.iterdir())
    with (run / "samples.jsonl").open("a") as file:
        file.write('{"id": "torn')  # what a kill in the middle of a write leaves
    _kill_when(["--resume", str(run)], root, "scores", 20)
    with (run / "scores.jsonl").open("a") as file:
        file.write('{"id": "torn", "metric"')
    resumed = evaluate.resume(RunFolder.open(run))
    assert resumed.head.status == "success"
    assert tables(resumed) == tables(whole)
    assert sorted(p.name for p in (run / "clips").iterdir()) == sorted(p.name for p in (whole.path / "clips").iterdir())


def test_resume_refuses_another_generator(workspace):
    run = run_small(limit=2)
    source = (workspace / "my_generator.py").read_text()
    (workspace / "my_generator.py").write_text(source.replace("time.sleep(SLOW)", "time.sleep(SLOW * 2)"))
    sys.modules.pop("my_generator")
    with pytest.raises(RunError, match="have changed since this run started"):
        evaluate.resume(run)


def test_a_clip_that_changed_on_disk_is_not_scored(workspace):
    run = run_small(limit=2)
    clips = sorted((run.path / "clips").iterdir())
    clips[0].write_bytes(clips[1].read_bytes())
    evaluate.rescore(run)
    reasons = {r.reason for r in run.rows(ScoreRow) if r.status == "error"}
    assert any("has changed since it was made" in r for r in reasons)


@pytest.fixture
def videos(tmp_path, rng):
    """Real files of different sizes, lengths and rates; one is truncated, one is no video."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for i, (t, h, w, fps) in enumerate([(12, 64, 96, 8), (30, 96, 64, 24), (16, 48, 48, 12)]):
        base = rng.integers(0, 256, (h // 8, w // 8 + t, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        encode(
            folder / f"clip_{i}.mp4",
            np.stack([base[:, 4 * k : w + 4 * k] for k in range(t)]),
            fps,
            movflags="faststart",
        )
    whole = (folder / "clip_1.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "notes.mp4").write_text("not a video")
    return folder


NATIVE = '[suite]\nid = "native"\n[metrics.temporal_flickering]\n[metrics.warping_error]\n[metrics.dynamic_degree]\n'


def test_a_folder_of_real_videos_is_scored_reading_each_file_once(workspace, videos, monkeypatch):
    from sora_eval.generators import folder as module

    reads = []
    monkeypatch.setattr(module, "read_clip", lambda p, read=module.read_clip, **k: reads.append(p.name) or read(p, **k))
    (workspace / "native.toml").write_text(NATIVE)
    run = evaluate.run(load_suite("native.toml"), f"folder:{videos}", evaluate.Path("runs"))
    assert sorted(reads) == ["clip_0.mp4", "clip_1.mp4", "clip_2.mp4", "cut.mp4", "notes.mp4"]
    rows = {r.prompt_id: r for r in run.rows(SampleRow)}
    assert {k for k, r in rows.items() if r.status == "error"} == {"cut", "notes"}
    assert "is damaged or cut" in rows["cut"].error
    assert (rows["clip_1"].width, rows["clip_1"].frames, rows["clip_1"].fps) == (64, 30, 24.0)
    for metric in ("temporal_flickering", "warping_error", "dynamic_degree"):
        row = next(r for r in run.rows(MetricRow) if r.metric == metric and r.slice == "all")
        assert (row.n_scored, row.n_expected) == (3, 5)
    assert not any((run.path / "clips").iterdir())  # they exist already


def test_manifests_bring_prompts(workspace, videos):
    from sora_eval.generators.opening import open_generator
    from sora_eval.util.errors import GeneratorError

    (videos / "list.csv").write_text('videopath,caption\nclip_0.mp4,"a, b"\nclip_2.mp4,\n')
    cases = open_generator(f"folder:{videos / 'list.csv'}").cases()
    assert [(c.id, c.prompt.text) for c in cases] == [("clip_0/native/0", "a, b"), ("clip_2/native/0", "")]
    (videos / "manifest.jsonl").write_text(json.dumps({"path": "clip_1.mp4", "prompt": "x", "prompt_id": "p", "seed": 4}))
    assert [c.id for c in open_generator(f"folder:{videos}").cases()] == ["p/native/4"]
    (videos / "manifest.jsonl").write_text(json.dumps({"file_name": "clip_1.mp4"}))
    with pytest.raises(GeneratorError, match="has the columns file_name; expected 'path'"):
        open_generator(f"folder:{videos}")
    (workspace / "empty").mkdir()
    with pytest.raises(GeneratorError, match="holds no video"):
        open_generator("folder:empty")
    with pytest.raises(GeneratorError, match="neither a folder nor a manifest"):
        open_generator("folder:gone")


def test_a_suite_without_prompts_needs_clips_that_exist(workspace):
    (workspace / "native.toml").write_text(NATIVE)
    with pytest.raises(SuiteError, match="it scores clips that exist"):
        evaluate.run(load_suite("native.toml"), "world", evaluate.Path("runs"))


@pytest.mark.i3d
def test_set_metrics_carry_their_reference_and_their_null(workspace):
    text = (workspace / "small.toml").read_text().split("[metrics")[0].replace("frames = [9]", "frames = [13]")
    (workspace / "sets.toml").write_text(text + '[reference]\ngenerator = "world"\n[metrics.fvd]\n[metrics.kvd]\n')
    suite = load_suite("sets.toml")
    good, bad = (evaluate.run(suite, f"python:my_generator:{n}", evaluate.Path("runs")) for n in ("generate", "noisy"))
    rows = [{r.metric: r for r in run.rows(MetricRow)} for run in (good, bad)]
    assert rows[0]["fvd"].value < rows[1]["fvd"].value
    assert rows[1]["fvd"].p < 0.05 < rows[0]["fvd"].p
    assert rows[0]["fvd"].null > 0
    assert rows[0]["fvd"].low is None  # a resampled interval would exclude its own value
    assert rows[0]["kvd"].low < rows[0]["kvd"].value < rows[0]["kvd"].high
    assert rows[0]["fvd"].signature == rows[1]["fvd"].signature
    other = evaluate.run(
        evaluate.with_reference(suite, "python:my_generator:noisy"), "python:my_generator:generate", evaluate.Path("runs")
    )
    row = next(r for r in other.rows(MetricRow) if r.metric == "fvd")
    assert row.signature != rows[0]["fvd"].signature  # another reference set, another number
