"""A full disk, no permission, no memory, a cache that cannot be written: a message or a finished run; resumed, equal rows."""

import errno
import json
import os
import sys

import numpy as np
import pytest

from sora_eval.generators.opening import open_generator
from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow, SampleRow
from sora_eval.suite import load_suite
from sora_eval.util import cache
from sora_eval.util.errors import ClipError, RunError
from sora_eval.video import codec, decoder
from tests.commands import sora_eval
from tests.sora_eval.pipeline.test_run import tables
from tests.sora_eval.util.test_files import largest_file

SUITE = """
[suite]
id = "s"
[prompts]
file = "p.jsonl"
[axes]
shapes = ["48x48"]
frames = [5]
[metrics.temporal_flickering]
"""
MODULE = """
import numpy as np


def noise(request):
    shape = request.num_frames, request.height, request.width, 3
    return np.random.default_rng(request.seed).integers(0, 256, shape, dtype=np.uint8)


def huge(request):
    return noise(request) if request.prompt == "a" else np.zeros((1 << 46,), np.uint8)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "resourceful", raising=False)
    (tmp_path / "resourceful.py").write_text(MODULE)
    (tmp_path / "s.toml").write_text(SUITE)
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"id": p, "text": p}) + "\n" for p in "abc"))
    return tmp_path


def run(out="runs", function="noise"):
    return evaluate.run(load_suite("s.toml"), f"python:resourceful:{function}", out)


def test_clips_that_do_not_fit_are_one_message_and_the_resumed_run_is_the_same(place):
    whole = run()
    with largest_file(20_000), pytest.raises(RunError, match="File too large") as caught:
        run("full")
    assert "--resume" in str(caught.value)
    (broken,) = find_runs(place / "full")
    assert list((broken.path / "clips").iterdir()) == []
    assert tables(evaluate.resume(broken)) == tables(whole)


@pytest.mark.parametrize("less", [1, 100, 1500])
def test_a_clip_whose_end_does_not_fit_is_no_clip(less, tmp_path, rng):
    clip = Clip(rng.integers(0, 256, (5, 48, 48, 3), dtype=np.uint8), 8.0)
    codec.write_clip(clip, tmp_path / "whole.mkv")
    with largest_file((tmp_path / "whole.mkv").stat().st_size - less), pytest.raises(OSError, match="File too large"):
        codec.write_clip(clip, tmp_path / "cut.mkv")
    assert [p.name for p in tmp_path.iterdir()] == ["whole.mkv"]


def test_a_disk_that_is_full_at_any_write_ends_in_a_message_and_equal_rows(place, monkeypatch):
    whole = tables(run())
    sync, replace, left = os.fsync, os.replace, [0]

    def or_full(function):
        def act(*arguments):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*arguments)

        return act

    monkeypatch.setattr("sora_eval.util.files.os.fsync", or_full(sync))
    monkeypatch.setattr("sora_eval.util.files.os.replace", or_full(replace))
    left[0] = 10**6
    run()
    writes = 10**6 - left[0]
    assert writes > 10
    for number in range(1, writes + 1):
        left[0] = number
        with pytest.raises(RunError, match="No space left on device"):
            run(place / f"full{number}")
        for broken in find_runs(place / f"full{number}"):
            assert tables(evaluate.resume(RunFolder.open(broken.path))) == whole


def test_a_run_folder_that_cannot_be_written_any_more_is_one_message(place, monkeypatch):
    finished = run()

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("sora_eval.util.files.os.replace", refuse)
    for arguments in (("run", "--resume", finished.path), ("score", finished.path)):
        done = sora_eval(*arguments)
        assert (done.returncode, "cannot be written" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENAMETOOLONG, "File name too long; then use --resume"),
        (errno.ENOSPC, "No space left on device; free some, or choose another place; then use --resume"),
        (errno.EROFS, "Read-only file system; give permission, or choose another place; then use --resume"),
    ],
)
def test_a_clip_that_cannot_be_written_says_the_true_cause(place, monkeypatch, number, words):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("sora_eval.pipeline.generate.write_clip", refuse)
    with pytest.raises(RunError, match=rf"clips/a_48x48x5_0.mkv cannot be written: {words}$"):
        run()


def test_a_fault_of_another_folder_does_not_blame_the_run_folder(place):
    made = run()
    with pytest.raises(RunError) as caught, evaluate.writing(made):
        raise OSError(errno.EROFS, "Read-only file system", "/elsewhere/features")
    assert str(caught.value).startswith("Read-only file system: /elsewhere/features; give permission")
    assert made.name not in str(caught.value)
    words = f"{made.name} cannot be written: No space left on device: .*scores.jsonl; free some"
    with pytest.raises(RunError, match=words), evaluate.writing(made):
        raise OSError(errno.ENOSPC, "No space left on device", str(made.path / "scores.jsonl"))


def test_a_generator_that_runs_out_of_memory_is_an_error_row(place):
    made = run(function="huge")
    rows = made.rows(SampleRow)
    assert [r.status for r in rows] == ["ok", "error", "error"]
    assert rows[1].error.startswith("out of memory (")
    assert made.head.status == "success"


def test_a_clip_too_large_to_be_read_is_an_error_row(place, monkeypatch):
    finished = run()

    def too_much(*_):
        raise MemoryError

    monkeypatch.setattr(decoder.Buffer, "add", too_much)
    with pytest.raises(ClipError, match="too large to be decoded: out of memory"):
        codec.read_clip(finished.path / finished.rows(SampleRow)[0].clip)

    def refused(*_):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(decoder.Buffer, "add", refused)
    with pytest.raises(ClipError, match="too large to be decoded: out of memory"):
        codec.read_clip(finished.path / finished.rows(SampleRow)[0].clip)


def test_memory_that_runs_out_elsewhere_is_one_message(place, monkeypatch):
    def too_much(*_):
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr("sora_eval.pipeline.summarise.clip_rows", too_much)
    done = sora_eval("run", "s.toml", "-g", "python:resourceful:noise")
    assert done.returncode in (2, 12)
    assert "Traceback" not in done.stderr
    (made,) = find_runs(place / "runs")
    reasons = [r.reason for r in made.rows(MetricRow)]
    assert any("out of memory" in text for text in (done.stderr, *reasons))


def test_a_cache_that_cannot_be_written_is_said_once_and_the_run_goes_on(place, monkeypatch):
    (place / "s.toml").write_text(SUITE + "[metrics.warping_error]\n")
    whole = run()
    (place / "file").write_text("no folder")
    monkeypatch.setattr(cache, "_said", set())
    done = sora_eval("run", "s.toml", "-g", "python:resourceful:noise", "--out", "other", SORA_EVAL_CACHE=str(place / "file"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is not used") == 1
    (other,) = find_runs(place / "other")
    assert tables(other) == tables(whole)


def test_a_folder_of_ten_thousand_files_is_opened(tmp_path):
    for number in range(10_000):
        (tmp_path / f"{number:05d}.mp4").touch()
    (tmp_path / "00000.gif").touch()
    generator = open_generator(f"folder:{tmp_path}")
    cases = generator.cases()
    assert len({c.id for c in cases}) == 10_001
    assert [c.prompt.id for c in cases[:3]] == ["00000.gif", "00000.mp4", "00001"]
    assert generator.fingerprint() == open_generator(f"folder:{tmp_path}").fingerprint()
