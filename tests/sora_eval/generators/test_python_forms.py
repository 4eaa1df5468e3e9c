"""The forms that a user's code may have: functions, classes, factories, objects, context managers; and its options."""

import sys
import textwrap

import numpy as np
import pytest

from sora_eval.generators.asking import answers, losses_of
from sora_eval.generators.opening import open_generator
from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import GeneratorError, Undefined
from sora_eval.util.user_code import UserCodeError
from sora_eval.video.codec import read_clip

CODE = """
    from contextlib import contextmanager
    from sora_eval.generators.protocol import Generator
    from sora_eval.records.clip import Clip
    import numpy as np

    EVENTS = []

    def filled(request, value):
        return np.full((request.num_frames, request.height, request.width, 3), value, np.uint8)

    def function(request, level=1):
        return filled(request, level)

    class Model:
        batch = 2

        def __init__(self, level=1, name: str = "x"):
            assert isinstance(name, str)
            EVENTS.append("made")
            self.level = level

        def generate(self, requests):
            EVENTS.append(len(requests))
            return [filled(r, self.level) for r in requests]

        def one(self, request):
            return filled(request, self.level)

    class Callable:
        def __init__(self, *, level):
            self.level = level

        def __call__(self, request):
            return filled(request, self.level)

    def factory(level=1):
        return Callable(level=level)

    @contextmanager
    def session(level=1):
        EVENTS.append("open")
        try:
            yield Callable(level=level)
        finally:
            EVENTS.append("close")

    class Whole(Generator):
        name = "whole"

        def __init__(self, level=1):
            self.level = level

        def fingerprint(self):
            return f"whole-{self.level}"

        def generate(self, requests):
            return [Clip(filled(r, self.level), r.fps) for r in requests]

    def broken(level=1):
        raise RuntimeError("no GPU")

    def silly(level=1):
        return 3

    class Judge(Callable):
        def denoising_losses(self, clips, prompts, times, seed):
            return [[len(p) + t + seed for t in times] for p in prompts]

    @contextmanager
    def judging(level=1):
        yield Judge(level=level)

    def judged(request):
        return filled(request, 1)

    judged.denoising_losses = lambda clips, prompts, times, seed: np.full((len(clips), len(times)), np.nan)

    class Misjudge(Callable):
        def denoising_losses(self, clips, prompts, times, seed):
            return [1.0] if seed else 1 / 0

    def seeded(request):
        return filled(request, request.seed % 251)

    model = Model(level=5)
    bound = model.one
    wrong_size = lambda request: filled(request, 1)[:-1]
    wrong_type = lambda request: 3
"""
REQUEST = Request("a ball", 16, 8, 3, 8.0, 1)


@pytest.fixture
def forms(tmp_path, monkeypatch):
    (tmp_path / "forms.py").write_text(textwrap.dedent(CODE))
    (tmp_path / "prompts.jsonl").write_text('{"id": "a", "text": "a"}\n{"id": "b", "text": "b"}\n{"id": "c", "text": "c"}\n')
    tables = '[prompts]\nfile = "prompts.jsonl"\n[axes]\nshapes = ["16x8"]\nframes = [3]\n[metrics.temporal_flickering]\n'
    (tmp_path / "small.toml").write_text(f'[suite]\nid = "small"\n{tables}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("forms", None)
    yield lambda: sys.modules["forms"].EVENTS
    sys.modules.pop("forms", None)


@pytest.mark.parametrize(
    ("spec", "level"),
    [
        ("function", 1),
        ("function?level=7", 7),
        ("Model?level=7", 7),
        ("Model?level=7&name=3", 7),
        ("Callable?level=7", 7),
        ("factory?level=7", 7),
        ("factory", 1),
        ("session?level=7", 7),
        ("Whole?level=7", 7),
        ("model", 5),
        ("bound", 5),
        ("model.one", 5),
    ],
)
def test_every_form_answers_with_its_options(forms, spec, level):
    (clip,) = answers(open_generator(f"python:forms:{spec}"), [REQUEST])
    assert clip.frames.shape == (3, 8, 16, 3)
    assert (clip.frames == level).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("function?lvel=7", "takes no 'lvel'; did you mean 'level'?"),
        ("Model?steps=7", "takes no 'steps'"),
        ("Callable", "missing 1 required keyword-only argument: 'level'"),
        ("broken", "cannot be made: RuntimeError: no GPU"),
        ("silly", "forms:silly makes a int; expected a function, a class, or an object with generate"),
        ("EVENTS", "forms:EVENTS is a list"),
        ("model?level=7", "options are for a class or a function, and it is a Model"),
    ],
)
def test_what_does_not_fit_says_why(forms, spec, message):
    with pytest.raises(GeneratorError, match=message.replace("(", r"\(").replace("?", r"\?")):
        open_generator(f"python:forms:{spec}")


def test_options_are_part_of_the_fingerprint_and_secrets_are_not(forms):
    prints = {spec: open_generator(f"python:forms:{spec}").fingerprint() for spec in ("factory", "factory?level=2")}
    assert len(set(prints.values())) == 2
    assert open_generator("python:forms:Whole?level=2").fingerprint() == "whole-2"


def test_a_class_is_made_once_and_asked_in_batches_and_a_session_is_closed_when_the_run_ends(forms, tmp_path):
    suite = load_suite("small.toml")
    folder = evaluate.run(suite, "python:forms:Model?level=9", tmp_path / "runs")
    assert forms()[1:] == ["made", 2, 1]  # after that of the module
    assert [row.status for row in folder.rows(SampleRow)] == ["ok"] * 3
    del forms()[:]
    evaluate.run(suite, "python:forms:session", tmp_path / "runs")
    assert forms() == ["open", "close"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong_size", r"found frames \(2, 8, 16, 3\), expected \(3, 8, 16, 3\)"),
        ("wrong_type", "frames are a int; expected an array"),
    ],
)
def test_an_answer_of_another_form_stops_a_run_at_the_first_clip(forms, tmp_path, name, message):
    with pytest.raises(GeneratorError, match=rf"the first clip of 16x8x3 does not fit the suite: {message}"):
        evaluate.run(load_suite("small.toml"), f"python:forms:{name}", tmp_path / "runs")


def test_rows_hold_the_seed_that_the_generator_got(forms, tmp_path):
    folder = evaluate.run(load_suite("small.toml"), "python:forms:seeded", tmp_path / "runs")
    rows = folder.rows(SampleRow)
    assert [row.seed for row in rows] == [0, 0, 0]
    assert len({row.request_seed for row in rows}) == 3
    assert [read_clip(folder.path / row.clip).frames[0, 0, 0, 0] for row in rows] == [row.request_seed % 251 for row in rows]


def losses(name, seed=1):
    clip = Clip(np.zeros((3, 8, 16, 3), np.uint8), 8.0)
    return losses_of(open_generator(f"python:forms:{name}"), [clip, clip], ["a", "abc"], (0.25, 0.5), seed)


@pytest.mark.parametrize("name", ["Judge?level=2", "judging"])
def test_a_denoiser_of_a_users_code_is_asked(forms, name):
    assert losses(name).tolist() == [[2.25, 2.5], [4.25, 4.5]]


@pytest.mark.parametrize(
    ("name", "seed", "error", "message"),
    [
        ("function", 1, Undefined, "python:forms:function has no denoiser that can be asked for the loss of a clip"),
        ("judged", 1, GeneratorError, "losses are not all finite numbers of at least 0"),
        ("Misjudge?level=1", 1, GeneratorError, r"losses are \(1,\); expected \(clips, times\) = \(2, 2\)"),
        ("Misjudge?level=1", 0, UserCodeError, "ZeroDivisionError: division by zero"),
    ],
)
def test_losses_that_are_none_say_why(forms, name, seed, error, message):
    with pytest.raises(error, match=message):
        losses(name, seed)
