"""Actors of a real cluster of two nodes in this machine: equal rows, whichever actors and nodes go."""

import os
import socket
import sys
import threading
import time

import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.engines.ray import RayEngine
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import load_suite
from tests.commands import sora_eval
from tests.equal_rows import assert_equal, rows_of
from tests.ray_cluster import two_nodes

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'sora_eval[ray]'")


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as made:
        yield made


def run(cluster, generator, **options):
    engine = EngineOptions("ray", address=cluster.address, **options)
    return evaluate.run(load_suite("noise.toml"), generator, "engines", engine=engine)


def test_actors_that_die_change_no_row(cluster, whole, place):
    """One generator and one scorer are killed in the middle of a case."""
    (place / "kill-scorer").touch()
    made = run(cluster, "python:noise:dies_once")
    assert_equal(rows_of(made), rows_of(whole))
    assert (place / "generator-died").exists()
    assert (place / "scorer-died").exists()
    assert (made.head.engine.name, made.head.engine.generators) == ("ray", 1)
    assert not ray.is_initialized()


def test_a_node_that_is_lost_in_the_middle_changes_no_row(cluster, whole, place, monkeypatch):
    """Killed when the first clip has a row, with the actors on it."""
    node = (cluster.worker_nodes and next(iter(cluster.worker_nodes))) or cluster.add_node(num_cpus=2)
    removed = []

    def remove():
        while not any(p.stat().st_size for p in place.glob("engines/*/samples.jsonl")):
            time.sleep(0.05)
        removed.append(sum(p.read_text().count("\n") for p in place.glob("engines/*/samples.jsonl")))
        cluster.remove_node(node, allow_graceful=False)

    starts = []
    start = RayEngine.start
    monkeypatch.setattr(RayEngine, "start", lambda *args, **more: starts.append(1) or start(*args, **more))
    thread = threading.Thread(target=remove)
    thread.start()
    made = run(cluster, "python:noise:slow", generators=2, scorers=2)
    thread.join()
    assert removed[0] < len(made.rows(SampleRow))
    assert len(starts) > 4  # actors were lost, and others took their place
    assert_equal(rows_of(made), rows_of(whole))


def test_more_gpus_than_there_are_is_one_message(cluster, place):
    result = sora_eval(
        *("run", "noise.toml", "-g", "python:noise:clip", "--engine", "ray", "--address", cluster.address),
        *("--generators", 2, "--gpus-per-generator", 0.5),
    )
    assert result.returncode == 2
    assert "the workers ask for 2 x 0.5 GPUs, and the" in result.stderr
    assert not (place / "runs").exists()


def test_a_cluster_that_cannot_be_reached_is_one_message(place, monkeypatch):
    """Nothing listens there; what listens says nothing; what does answers in another protocol; `ray start` has left a file."""
    monkeypatch.setattr("sora_eval.pipeline.engines.ray.MOST_SECONDS_TO_CONNECT", 0.3)
    monkeypatch.setenv("RAY_TMPDIR", str(place))
    with socket.socket() as free, socket.socket() as mute, socket.socket() as other:
        addresses = []
        for server in (free, mute, other):
            server.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{server.getsockname()[1]}")
        mute.listen()
        other.listen()
        thread = threading.Thread(target=lambda: other.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        thread.start()
        (place / "ray").mkdir()
        (place / "ray" / "ray_current_cluster").write_text(addresses[0])
        words = [(address, f"no Ray cluster answers at {address}: ") for address in addresses]
        words += [("auto", words[0][1]), ("nowhere", "'nowhere' is no address of a Ray cluster; expected auto, or HOST:PORT")]
        for asked, message in words:
            result = sora_eval("run", "noise.toml", "-g", "python:noise:clip", "--engine", "ray", "--address", asked)
            assert result.returncode == 2
            assert message in result.stderr
        thread.join()


def test_without_ray_its_engine_says_what_to_install(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = sora_eval("run", "noise.toml", "-g", "python:noise:clip", "--engine", "ray")
    assert result.returncode == 2
    assert "--engine ray needs ray; install sora_eval[ray]" in result.stderr
    assert not os.path.exists("runs")
