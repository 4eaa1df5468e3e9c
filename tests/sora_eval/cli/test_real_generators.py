"""Generators as teams have them, run from the command line: a service, and a model that runs out of memory now and then."""

import json
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from sora_eval.records.clip import Clip
from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow
from sora_eval.video.codec import write_clip
from tests.commands import sora_eval

ROOT = Path(__file__).parents[3]
(SERVICE,) = re.findall(r"```python file=service.py\n(.*?)```", (ROOT / "docs/generators.md").read_text(), re.DOTALL)
TABLES = '[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["16x8"]\nframes = [4]\n[metrics.temporal_flickering]\n'
SUITE = f'[suite]\nid = "small"\n{TABLES}'
MEMORY = """
import numpy as np
import torch


def generate(request):
    if request.seed % 3 == 0:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    if request.seed % 3 == 1:
        raise MemoryError()
    return np.full((request.num_frames, request.height, request.width, 3), request.seed % 251, np.uint8)
"""


class Handler(BaseHTTPRequestHandler):
    """Draws grey clips; a prompt with a 7 is a fault of the server."""

    def do_GET(self):
        self._answer(200, json.dumps({"model": "grey-1"}).encode())

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "7" in asked["prompt"]:
            self._answer(503, b"overloaded")
            return
        shape = (asked["frames"], asked["height"], asked["width"], 3)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.mkv"
            write_clip(Clip(np.full(shape, asked["seed"] % 251, np.uint8), asked["fps"]), path)
            self._answer(200, path.read_bytes())

    def _answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/videos"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(SUITE)
    (tmp_path / "p.jsonl").write_text("".join(f'{{"id": "p{i}", "text": "ball number {i}"}}\n' for i in range(12)))
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "memory.py").write_text(MEMORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("service", "memory"):
        sys.modules.pop(name, None)


def the_run():
    (run,) = find_runs(Path("runs"))
    return run


def test_a_service_is_asked_and_its_faults_are_rows(address):
    done = sora_eval("run", "small.toml", "-g", f"python:service:Service?url={address}&timeout=20")
    assert done.returncode == 12, done.stderr
    rows = {row.prompt_id: row for row in the_run().rows(SampleRow)}
    assert rows["p7"].error == "HTTPError: HTTP Error 503: Service Unavailable"
    assert [row.status for name, row in rows.items() if name != "p7"] == ["ok"] * 11
    assert the_run().head.generator.fingerprint.startswith("grey-1-")
    (flicker,) = [row for row in the_run().rows(MetricRow) if row.slice == "all"]
    assert (flicker.n_expected, flicker.n_scored) == (12, 11)


def test_a_service_that_is_not_there_is_one_message():
    done = sora_eval("run", "small.toml", "-g", "python:service:Service?url=http://127.0.0.1:9/v1&timeout=2")
    assert done.returncode == 2
    assert "cannot say what it is: URLError" in done.stderr
    assert "Traceback" not in done.stderr


def test_cases_that_run_out_of_memory_are_rows_and_the_others_are_scored():
    done = sora_eval("run", "small.toml", "-g", "python:memory:generate")
    assert done.returncode == 12, done.stderr
    rows = the_run().rows(SampleRow)
    assert {row.status for row in rows} == {"ok", "error"}
    for row in rows:
        assert (row.status == "ok") == (row.request_seed % 3 == 2)
        assert row.status == "ok" or row.error.startswith("out of memory")
    scored = {row.id for row in the_run().rows(ScoreRow) if row.status == "ok"}
    assert scored == {row.id for row in rows if row.status == "ok"}
    assert "changed weights" in done.stderr or "names no weights" in done.stderr
