"""Generators of users may do anything: each fault is a reason, and none reaches the rest of the run."""

import asyncio
import os
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest

from sora_eval.generators.asking import answers, clip_of
from sora_eval.generators.identity import identity_of, place_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.generators.python import PythonGenerator
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import SampleRow
from sora_eval.speed.timed_generator import LocalGenerator, time_call
from sora_eval.util.errors import ClipError, GeneratorError, RegistryError
from tests.commands import sora_eval
from tests.sora_eval.pipeline.test_run import tables

REQUEST = Request("a ball", 16, 8, 3, 8.0, 1)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def frames(request, value=7):
    return np.full((request.num_frames, request.height, request.width, 3), value, np.uint8)


def raising(error):
    def generate(_request):
        raise error

    return generate


def stalling(_requests):
    while True:
        yield None


FAULTS = {
    "exit": (lambda r: sys.exit(0), "SystemExit: 0"),
    "cancelled": (raising(asyncio.CancelledError()), "CancelledError"),
    "generator exit": (raising(GeneratorExit()), "GeneratorExit"),
    "base": (raising(BaseException("odd")), "BaseException: odd"),
    "mute": (raising(Mute()), "Mute: its message cannot be read (RuntimeError)"),
    "surrogate": (raising(ValueError("\ud800")), r"ValueError: \ud800"),
    "long": (raising(ValueError("x" * 10**6)), "more characters)"),
    "memory": (raising(MemoryError("4 TB")), "out of memory (MemoryError: 4 TB)"),
    "allocator": (raising(RuntimeError("DefaultCPUAllocator: can't allocate memory")), "out of memory (RuntimeError"),
    "none": (lambda r: None, "frames are a NoneType; expected an array"),
    "floats": (lambda r: frames(r).astype(float), "its floats go from 7 to 7; expected 0 to 1"),
    "nan": (lambda r: np.full((3, 8, 16, 3), np.nan), "NaN or infinite"),
    "objects": (lambda r: frames(r).astype(object), "it is of object; expected uint8"),
    "picture": (lambda r: frames(r)[0], "its shape is (8, 16, 3); expected one of"),
    "short": (lambda r: frames(r)[:-1], "found frames (2, 8, 16, 3), expected (3, 8, 16, 3)"),
    "another rate": (lambda r: Clip(frames(r), 2 * r.fps), "found 16 frames per second, expected 8"),
    "nan seconds": (lambda r: Clip(frames(r), 8.0, {"text": float("nan")}), "seconds of the stage 'text' = nan; expected a f"),
    "negative": (lambda r: Clip(frames(r), 8.0, {"text": np.float32(-1)}), "expected a finite number of at least 0"),
    "no table": (lambda r: Clip(frames(r), 8.0, [1.0]), "seconds are a list; expected seconds by stage"),
    "odd stage": (lambda r: Clip(frames(r), 8.0, {3: 1.0}), "seconds of the stage 3"),
    "nan rate": (lambda r: Clip(frames(r), float("nan")), "fps = nan; expected a number from 0.001 to 100000"),
    "endless rate": (lambda r: Clip(frames(r), np.inf), "fps = inf; expected"),
    "rate in words": (lambda r: Clip(frames(r), "8"), "fps = '8'; expected"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_the_reason_of_its_case_and_of_no_other(kind):
    function, words = FAULTS[kind]
    good = replace(REQUEST, seed=2)
    results = answers(PythonGenerator("python:m:f", lambda r: frames(r) if r.seed == 2 else function(r)), [REQUEST, good])
    assert isinstance(results[0], str)
    assert words in results[0]
    assert len(results[0]) < 3000
    results[0].encode()
    assert isinstance(results[1], Clip)
    assert words in time_call(PythonGenerator("python:m:f", function), [REQUEST]).reason


def test_ctrl_c_is_no_fault():
    with pytest.raises(KeyboardInterrupt):
        answers(PythonGenerator("python:m:f", raising(KeyboardInterrupt())), [REQUEST])


class Batch(Generator):
    name = "batch"

    def __init__(self, answer):
        self.answer = answer

    def fingerprint(self):
        return "1"

    def generate(self, requests):
        return self.answer(requests)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda requests: [], "returned 0 clips, expected 1"),
        (lambda requests: [Clip(frames(REQUEST), 8.0)] * 5, "returned more than 1 clips, expected 1"),
        (stalling, "returned more than 1 clips, expected 1"),
        (lambda requests: None, "TypeError: 'NoneType' object is not iterable"),
        (lambda requests: ["clip"], "returned a str, expected a Clip"),
    ],
)
def test_an_answer_has_one_clip_per_request(answer, words):
    assert [words in reason for reason in answers(Batch(answer), [REQUEST, REQUEST])] == [True, True]
    assert words in time_call(Batch(answer), [REQUEST]).reason


def test_a_buffer_that_is_used_again_changes_no_clip_and_nobody_can_write_into_one():
    buffer = frames(REQUEST)

    def reuse(request):
        buffer[:] = request.seed
        return buffer

    a, b = answers(Batch(lambda rs: [Clip(reuse(r), r.fps) for r in rs]), [REQUEST, replace(REQUEST, seed=2)])
    assert (a.frames.max(), b.frames.max()) == (1, 2)
    c, d = answers(PythonGenerator("python:m:f", reuse), [REQUEST, replace(REQUEST, seed=2)])
    assert (c.frames.max(), d.frames.max()) == (1, 2)
    with pytest.raises(ValueError, match="read-only"):
        a.frames[0] = 3


def test_numbers_of_numpy_are_numbers():
    clip = Clip(frames(REQUEST), np.float32(8), {"text": np.float64(0.5), "denoise": np.int64(2)})
    assert [type(v) for v in (clip.fps, *clip.seconds.values())] == [float] * 3
    with pytest.raises(ClipError, match="fps = True"):
        Clip(frames(REQUEST), True)


def test_what_a_generator_does_to_the_process_is_undone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def unruly(request):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)
        os.chdir("gone")
        os.rmdir(tmp_path / "gone")
        print("a word")
        sys.stdout = None
        request.facts["objects"] = []
        return frames(request)

    request = replace(REQUEST, facts={"objects": [1]})
    assert isinstance(answers(PythonGenerator("python:m:f", unruly), [request])[0], Clip)
    assert os.getcwd() == str(tmp_path)
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    print("the result")
    assert capsys.readouterr() == ("the result\n", "a word\n")


SMALL = """
[suite]
id = "s"
[prompts]
file = "p.jsonl"
[axes]
shapes = ["16x8"]
frames = [3]
[metrics.temporal_flickering]
"""
MODULE = """
import os
import sys

import numpy as np


def exits(request):
    if "red" in request.prompt:
        sys.exit(0)
    os.chdir("/")
    return np.zeros((request.num_frames, request.height, request.width, 3), np.uint8)


def interrupted_once(request):
    if "blue" in request.prompt and not TIMES:
        TIMES.append(1)
        raise KeyboardInterrupt
    return np.zeros((request.num_frames, request.height, request.width, 3), np.uint8)


TIMES = []
exits.fingerprint = interrupted_once.fingerprint = "1"
"""


def test_a_run_goes_on_past_an_exit_and_another_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "unruly", raising=False)
    (tmp_path / "s.toml").write_text(SMALL)
    (tmp_path / "p.jsonl").write_text('{"id": "a", "text": "red"}\n{"id": "b", "text": "blue"}\n{"id": "c", "text": "green"}\n')
    (tmp_path / "unruly.py").write_text(MODULE)
    done = sora_eval("run", "s.toml", "-g", "python:unruly:exits")
    assert done.returncode == 12, done.stderr
    (run,) = find_runs(tmp_path / "runs")
    assert [(r.status, r.error) for r in run.rows(SampleRow)] == [("error", "SystemExit: 0"), ("ok", ""), ("ok", "")]
    assert run.head.status == "success"


def test_an_interrupted_run_says_how_to_go_on_and_ends_like_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "unruly", raising=False)
    (tmp_path / "s.toml").write_text(SMALL)
    (tmp_path / "p.jsonl").write_text('{"id": "a", "text": "grey"}\n{"id": "b", "text": "blue"}\n')
    (tmp_path / "unruly.py").write_text(MODULE)
    stopped = sora_eval("run", "s.toml", "-g", "python:unruly:interrupted_once")
    assert (stopped.returncode, "interrupted; go on with: sora-eval run --resume latest" in stopped.stderr) == (130, True)
    (run,) = find_runs(tmp_path / "runs")
    assert (run.head.status, len(run.rows(SampleRow))) == ("cancelled", 1)
    assert sora_eval("run", "--resume", "latest").returncode == 0
    assert sora_eval("run", "s.toml", "-g", "python:unruly:interrupted_once", "--out", "whole").returncode == 0
    assert tables(run) == tables(find_runs(tmp_path / "whole")[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:", "SyntaxError"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
        ("raise BaseException('no')", "BaseException: no"),
        ("import nothing_there", "cannot be imported (No module named 'nothing_there')"),
        ("f = 3", "is a int; expected a function"),
        ("def __getattr__(name):\n    raise OSError('no')", "cannot be read: OSError: no"),
        ("def f(r):\n    pass\nf.capabilities = 3", "its capabilities are a int; expected Capabilities"),
    ],
)
def test_a_module_that_cannot_be_opened_is_one_message(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "unruly", raising=False)
    (tmp_path / "unruly.py").write_text(text)
    with pytest.raises((GeneratorError, RegistryError)) as caught:
        open_generator("python:unruly:f")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": lambda self: sys.exit(0)}, "cannot say what it is: SystemExit: 0"),
        ({"fingerprint": lambda self: 3}, r"its fingerprint\(\) is a int, expected a string"),
        ({"name": None}, "its name is a NoneType"),
        ({"training_steps": "many"}, "cannot say what it is: TypeError"),
    ],
)
def test_an_identity_is_of_plain_types(changes, words):
    odd = type("Odd", (Batch,), changes)(None)
    with pytest.raises(GeneratorError, match=words):
        identity_of(odd, "odd")


def test_counts_and_places_of_numpy_are_plain():
    plain = type(
        "Plain",
        (Batch,),
        {
            "training_steps": np.int64(5),
            "where": {"threads": np.int64(2)},
            "tokens": lambda self, request: np.int64(3),
            "flops": lambda self, requests, packing: {"whole": np.int64(9)},
        },
    )(None)
    assert identity_of(plain, "plain").training_steps == 5
    local = LocalGenerator(plain, "plain")
    assert (local.facts.where, local.tokens([REQUEST]), local.flops([REQUEST])) == ({"threads": 2}, 3, {"whole": 9})
    with pytest.raises(GeneratorError, match="no table of plain values"):
        place_of(type("Odd", (Batch,), {"where": {"device": object()}})(None), "odd")


@pytest.mark.parametrize(
    ("read", "words"),
    [(lambda case: sys.exit(0), "SystemExit: 0"), (raising(MemoryError()), "out of memory"), (lambda case: 3, "found a int")],
)
def test_a_clip_that_cannot_be_read_is_a_reason(read, words):
    class Source(ClipSource):
        name, fingerprint, generate, cases, path = "source", None, None, None, None

        def read(self, case):
            return read(case)

    assert words in clip_of(Source(), Case(Prompt("p", "a ball"), None, None, None, None))
