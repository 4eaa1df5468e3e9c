"""Bad input of runs on several machines: one message each, and how long it takes in a process of its own."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.commands import sora_eval
from tests.conftest import ROOT

SUITE = """
[suite]
id = "plain"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["16x16"]
frames = [FRAMES]
[metrics.temporal_flickering]
"""
GENERATOR = """
import numpy as np


def clip(request):
    return np.zeros((request.num_frames, request.height, request.width, 3), np.uint8)
"""
RUN = ("run", "plain.toml", "-g")
RAY = (*RUN, "python:grey:clip", "--engine", "ray")
NO_RAY = "raise ModuleNotFoundError(\"No module named 'ray'\", name='ray')\n"


class Page(BaseHTTPRequestHandler):
    """Answers everything with a page."""

    def do_GET(self):
        body = b"<!doctype html><title>Welcome</title>"
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@contextmanager
def page(status):
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.status = status
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/videos"
        server.shutdown()


@contextmanager
def closed():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def mute():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def nothing():
    yield ""


INPUTS = {
    "no Ray installed": (nothing, RAY, "--engine ray needs ray; install sora_eval[ray]"),
    "a cluster where nothing listens": (closed, (*RAY, "--address", "ADDRESS"), "no Ray cluster answers at"),
    "a cluster that says nothing": (mute, (*RAY, "--address", "ADDRESS"), "no Ray cluster answers at"),
    "a cluster at a name that nobody has": (nothing, (*RAY, "--address", "head.invalid:6379"), "no Ray cluster answers at"),
    "more GPUs than there are": (
        nothing,
        (*RAY, "--generators", "1000", "--gpus-per-generator", "8"),
        "the workers ask for 1000 x 8 GPUs, and the 1 machines",
    ),
    "shards of unlike suites": (nothing, ("merge", "one", "two"), "are no shards of one run: suite plain version 1"),
    "an URL that answers HTML": (lambda: page(200), (*RUN, "ADDRESS"), "found text/html: <!doctype html>"),
    "the same, to a prompt": (lambda: page(200), (*RUN, "ADDRESS?route=plain"), "<!doctype html>"),
    "a page that there is none": (lambda: page(404), (*RUN, "ADDRESS"), "404 Not Found"),
    "an URL that says nothing": (mute, (*RUN, "http://ADDRESS/v1/videos"), "no answer within"),
    "a key that is missing": (
        nothing,
        (*RUN, "http://127.0.0.1:9/v1/videos?key_env=NO_SUCH_KEY"),
        "NO_SUCH_KEY, which key_env names, is not set",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.syspath_prepend(str(root))
        (root / "grey.py").write_text(GENERATOR)
        (root / "none").mkdir()
        (root / "none" / "ray.py").write_text(NO_RAY)
        (root / "prompts.jsonl").write_text("".join(f'{{"id": "p{i}", "text": "grey"}}\n' for i in range(9)))
        for i, name in enumerate(("one", "two"), 1):
            (root / "plain.toml").write_text(SUITE.replace("FRAMES", str(4 + i)))
            done = sora_eval(*RUN, "python:grey:clip", "--shard", f"{i}/2", "-o", f"made{i}")
            assert done.returncode == 0, done.stderr
            next((root / f"made{i}").iterdir()).rename(root / name)
        yield root
    sys.modules.pop("grey", None)


@pytest.mark.campaign
@pytest.mark.parametrize("name", INPUTS)
def test_bad_input_is_one_message(folder, name, record_property):
    server, argv, words = INPUTS[name]
    path = [str(folder), *([str(folder / "none")] if name == "no Ray installed" else []), str(ROOT), str(ROOT / ".links")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "RAY_TMPDIR": str(folder), "COLUMNS": "1000"}
    for variable in ("CI", "RAY_ADDRESS"):
        environment.pop(variable, None)
    with server() as address:
        command = [
            sys.executable,
            "-c",
            "from sora_eval.cli import main; main()",
            *(a.replace("ADDRESS", address) for a in argv),
        ]
        begun = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
        seconds = time.monotonic() - begun
    record_property("campaign", [["bad input", "seconds", "exit code"], [name, f"{seconds:.1f}", done.returncode]])
    said = [line for line in done.stderr.splitlines() if words in line]
    assert done.returncode == 2, done.stderr
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
