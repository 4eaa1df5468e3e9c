"""Runs against a service from the command line: rows, messages, and what is written of a key."""

from pathlib import Path

import pytest

pytest.importorskip("httpx")
pytest.importorskip("tenacity")

from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import SampleRow
from tests.commands import sora_eval
from tests.sora_eval.generators.http.stub import Stub, answer, video

TABLES = '[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["16x8"]\nframes = [4]\n[metrics.temporal_flickering]\n'


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(f'[suite]\nid = "small"\n{TABLES}')
    (tmp_path / "p.jsonl").write_text("".join(f'{{"id": "p{i}", "text": "ball number {i}"}}\n' for i in range(6)))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stub():
    with Stub() as service:
        yield service


def test_a_run_has_the_clips_of_the_service_and_a_row_for_each_fault(stub):
    stub.faults["POST /v1/videos"] = [answer({"detail": "too long"}, 400)]
    done = sora_eval("run", "small.toml", "-g", f"{stub.url}?batch=3", "-o", "runs")
    assert done.returncode == 12, done.stderr
    (run,) = find_runs(Path("runs"))
    rows = run.rows(SampleRow)
    assert [row.status for row in rows].count("ok") == 5
    assert next(row.error for row in rows if row.error) == f"POST {stub.url}: 400 Bad Request: too long"
    assert run.head.generator.label == "http:grey-1"
    assert "behind the name 'grey-1'" in run.head.generator.not_covered


def test_a_key_is_sent_and_never_written(stub, monkeypatch):
    monkeypatch.setenv("STUDIO", "Zq81-kkfp-open")
    stub.faults["POST /v1/videos"] = [answer({"error": {"message": "key Zq81-kkfp-open has no quota"}}, 400)]
    done = sora_eval("run", "small.toml", "-g", f"{stub.url}?key_env=STUDIO", "-o", "runs")
    assert done.returncode == 12, done.stderr
    assert {headers["Authorization"] for _, _, headers, _ in stub.asked} == {"Bearer Zq81-kkfp-open"}
    written = b"".join(path.read_bytes() for path in Path("runs").rglob("*") if path.is_file())
    assert b"Zq81" not in written + (done.stdout + done.stderr).encode()
    assert b"key REDACTED has no quota" in written


def test_a_first_clip_of_another_shape_ends_the_run(stub):
    stub.faults["GET /v1/videos/ID/content"] = [answer(video(8, 8, 4, 8, 1))]
    done = sora_eval("run", "small.toml", "-g", stub.url, "-o", "runs")
    assert done.returncode == 2
    assert "the first clip of 16x8x4 does not fit the suite: found frames (4, 8, 8, 3)" in done.stderr
    assert len(stub.bodies()) == 1


def test_a_service_that_is_not_there_is_one_message():
    for command in ("run", "validate"):
        done = sora_eval(command, "small.toml", "-g", "http://127.0.0.1:9/v1/videos")
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "is the service running there?" in done.stderr
