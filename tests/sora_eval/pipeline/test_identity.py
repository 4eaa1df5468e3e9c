"""What was scored is what the run says: a generator or a clip that has changed since the run began never joins its rows."""

import json
import os

import numpy as np
import pytest

from sora_eval.generators.folder import FolderGenerator
from sora_eval.generators.opening import open_generator
from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, ScoreRow, SourceRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import ClipError, RunError
from sora_eval.video.codec import write_clip

NATIVE = '[suite]\nid = "native"\n[metrics.temporal_flickering]\n'


def write(path, seed):
    """A clip of noise of that seed."""
    frames = np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    write_clip(Clip(frames, 8.0), path)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Three clips `a.mkv` to `c.mkv`, and a suite that scores them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "native.toml").write_text(NATIVE)
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        write(folder / f"{name}.mkv", seed)
    return folder


def run_of(clips, **options):
    return evaluate.run(load_suite("native.toml"), f"folder:{clips}", evaluate.Path("runs"), **options)


def rows(run):
    return {row.table: run.rows(row) for row in (SampleRow, ScoreRow, SourceRow)}


def keep_size_and_time(path, change):
    """Change a file's bytes, so that only their content tells."""
    before, data = path.stat(), path.read_bytes()
    path.write_bytes(change(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_a_fingerprint_of_a_folder_is_of_its_bytes_ids_and_prompts(clips):
    before = open_generator(f"folder:{clips}").fingerprint()
    assert open_generator(f"folder:{clips}").fingerprint() == before
    assert open_generator(f"folder:{clips}?damaged=note").fingerprint() != before
    keep_size_and_time(clips / "b.mkv", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    changed = open_generator(f"folder:{clips}").fingerprint()
    assert changed != before
    words = set()
    for prompt in ("a cat", "a dog"):
        (clips / "manifest.jsonl").write_text(json.dumps({"path": "a.mkv", "prompt": prompt}))
        words.add(open_generator(f"folder:{clips}").fingerprint())
    assert len({before, changed} | words) == 4


def test_a_file_that_changes_after_the_fingerprint_is_an_error_of_its_clip(clips):
    source = FolderGenerator(clips)
    case = source.cases()[1]
    source.fingerprint()
    source.read(case)
    write(clips / "b.mkv", 9)
    with pytest.raises(ClipError, match=r"b\.mkv has changed since the run began"):
        source.read(case)


CHANGES = [
    (lambda folder: write(folder / "b.mkv", 9), "1 changed (b.mkv)"),
    (lambda folder: (folder / "b.mkv").unlink(), "1 removed (b.mkv)"),
    (lambda folder: write(folder / "d.mkv", 9), "1 added (d.mkv)"),
    (
        lambda folder: ((folder / "a.mkv").rename(folder / "e.mkv"), write(folder / "c.mkv", 9)),
        "1 changed (c.mkv), 1 added (e.mkv), 1 removed (a.mkv)",
    ),
    (
        lambda folder: (folder / "manifest.jsonl").write_text(
            "".join(json.dumps({"path": f"{n}.mkv", "prompt": "a cat" if n == "b" else ""}) + "\n" for n in "abc")
        ),
        "1 changed (b.mkv)",
    ),
]


@pytest.mark.parametrize("go_on", [evaluate.rescore, evaluate.resume])
@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_a_folder_that_has_changed_is_named_and_neither_scored_again_nor_resumed(clips, go_on, change, words):
    run = run_of(clips)
    before = rows(run)
    change(clips)
    with pytest.raises(RunError) as error:
        go_on(run)
    assert f"folder:{clips} have changed since this run started: {words}" in str(error.value)
    assert "start a new run" in str(error.value)
    assert rows(run) == before
    assert run.head.status == "success"


def test_a_moved_folder_and_one_that_is_as_it_was_are_scored_again(clips):
    run = run_of(clips)
    before = rows(run)
    content = (clips / "b.mkv").read_bytes()
    write(clips / "b.mkv", 9)
    (clips / "b.mkv").write_bytes(content)
    evaluate.rescore(run)
    assert rows(run) == before
    assert [r.prompt for r in before["sources"]] == ["", "", ""]
    assert len({r.sha256 for r in before["sources"]}) == 3


def test_a_killed_run_does_not_go_on_with_other_files(clips, monkeypatch):
    from sora_eval.pipeline import score_clip

    monkeypatch.setattr(score_clip, "clip_of", _stopping(score_clip.clip_of, after=1))
    with pytest.raises(KeyboardInterrupt):
        run_of(clips)
    monkeypatch.undo()
    monkeypatch.chdir(clips.parent)
    (run,) = evaluate_runs()
    keep_size_and_time(clips / "c.mkv", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RunError, match=r"1 changed \(c\.mkv\)"):
        evaluate.resume(run)
    assert len(run.rows(SampleRow)) == 1


def _stopping(read, after):
    reads = []

    def clip_of(source, case):
        if len(reads) == after:
            raise KeyboardInterrupt
        reads.append(case.id)
        return read(source, case)

    return clip_of


def evaluate_runs():
    from sora_eval.runs.find import find_runs

    return find_runs(evaluate.Path("runs"))


def test_frames_that_are_read_otherwise_than_before_are_not_scored_under_the_old_hash(clips, monkeypatch):
    """The files are the same, and a decoder of another version reads them differently."""
    from sora_eval.generators import folder as module

    run = run_of(clips)
    read = module.read_clip

    def other(path, **options):
        clip = read(path, **options)
        return {"a.mkv": lambda: Clip(255 - clip.frames, clip.fps), "b.mkv": lambda: Clip(clip.frames, 9.0)}.get(
            path.name, lambda: clip
        )()

    monkeypatch.setattr(module, "read_clip", other)
    evaluate.rescore(run)
    scores = {r.id: r for r in run.rows(ScoreRow)}
    assert [scores[f"{n}/native/0"].status for n in "abc"] == ["error", "error", "ok"]
    assert "not the clip of this run" in scores["a/native/0"].reason
    assert run.head.failed_cases == 2


def test_a_run_of_a_version_that_recorded_no_files_names_what_it_can(clips):
    run = run_of(clips)
    (run.path / "sources.jsonl").unlink()
    files = {name: digest for name, digest in run.head.files.items() if name != "sources.jsonl"}
    run.update_head(files=files, generator=run.head.generator.model_copy(update={"fingerprint": "0" * 16}))
    evaluate.rescore(run)
    write(clips / "b.mkv", 9)
    evaluate.rescore(run)
    assert [r.reason for r in run.rows(ScoreRow) if r.status == "error"] == [
        "no clip: b.mkv is not the clip of this run: the file, or what decodes it, has changed; start a new run"
    ]
    write(clips / "d.mkv", 9)
    with pytest.raises(RunError, match=r"1 added \(d\.mkv\)"):
        evaluate.rescore(run)
    (clips / "d.mkv").rename(clips / "a.mkv")
    (clips / "c.mkv").unlink()
    with pytest.raises(RunError, match=r"1 removed \(c\.mkv\)"):
        evaluate.rescore(run)


def test_an_unfinished_run_of_a_version_that_hashed_no_content_is_begun_again(clips):
    run = run_of(clips)
    (run.path / "sources.jsonl").unlink()
    run.update_head(files={}, status="started", generator=run.head.generator.model_copy(update={"fingerprint": "0" * 16}))
    with pytest.raises(RunError, match="begun by a version that hashed no content of files"):
        evaluate.resume(run)


@pytest.mark.parametrize("verb", [evaluate.rescore, evaluate.resume])
def test_a_verb_that_rewrites_a_run_gives_it_a_status_first(clips, monkeypatch, verb):
    """No reader, and no kill, meets a run that calls itself whole while its rows are written."""
    run, statuses = run_of(clips), []

    def watched(method):
        original = getattr(RunFolder, method)

        def wrapper(folder, *arguments):
            statuses.append(folder.head.status)
            return original(folder, *arguments)

        monkeypatch.setattr(RunFolder, method, wrapper)

    for method in ("append", "replace", "save_features"):
        watched(method)
    verb(run)
    assert statuses
    assert set(statuses) == {"scoring" if verb is evaluate.rescore else "started"}
    assert run.head.status == "success"
