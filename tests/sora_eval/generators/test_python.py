"""The identity of a user's function: what its fingerprint knows, and that it says what it does not."""

import sys
import textwrap

import numpy as np
import pytest

from sora_eval.generators.code_identity import code_hash
from sora_eval.generators.opening import open_generator
from sora_eval.pipeline import run as evaluate
from sora_eval.suite import load_suite
from sora_eval.util.errors import RunError

FILES = {
    "mine.py": """
        from functools import partial
        import numpy as np
        import helper
        from parts import deep as renamed

        class Noise:
            def __init__(self, strength, table=None):
                self.strength, self.table, self.me = strength, table, self

            def __call__(self, request):
                return generate(request)

            def method(self, request):
                return generate(request)

        def scaled(factor):
            def inner(request):
                return generate(request, factor)
            return inner

        def generate(request, factor=1):
            import lazy
            shape = (request.num_frames, request.height, request.width, 3)
            return np.full(shape, helper.LEVEL * factor, np.uint8)

        weak, strong = Noise(1), Noise(2)
        with_table = Noise(1, np.arange(4))
        once, twice = scaled(1), scaled(2)
        half, third = partial(generate, factor=0.5), partial(generate, factor=0.3)
        first, second = weak.method, strong.method
        """,
    "helper.py": "LEVEL = 7\n",
    "lazy.py": "VALUE = 1\n",
    "parts/__init__.py": "",
    "parts/deep.py": "from .inner import CONSTANT\nfrom . import beside\nimport mine\n",
    "parts/inner.py": "CONSTANT = 1\n",
    "parts/beside.py": "\n",
    "stranger.py": "VALUE = 1\n",
}
USED = sorted(set(FILES) - {"stranger.py"})


@pytest.fixture
def code(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    forget()


def forget():
    for name in [n for n in sys.modules if n.partition(".")[0] in ("mine", "helper", "lazy", "parts", "stranger")]:
        del sys.modules[name]


def fingerprint(attribute):
    """As another process would see it."""
    forget()
    return open_generator(f"python:mine:{attribute}").fingerprint()


@pytest.mark.parametrize("name", USED)
def test_a_change_of_any_module_that_the_code_imports_is_another_generator(code, name):
    before = fingerprint("generate")
    assert fingerprint("generate") == before
    path = code / name
    path.write_text(path.read_text() + "# another thought\n")
    assert fingerprint("generate") != before


def test_a_module_that_is_not_imported_is_none_of_it(code):
    before = fingerprint("generate")
    __import__("stranger")
    (code / "stranger.py").write_text("VALUE = 2\n")
    assert fingerprint("generate") == before


def test_every_callable_of_a_module_has_its_own_fingerprint(code):
    names = ("generate", "weak", "strong", "with_table", "once", "twice", "half", "third", "first", "second")
    found = {name: fingerprint(name) for name in names}
    assert len(set(found.values())) == len(names)
    assert found == {name: fingerprint(name) for name in reversed(names)}


def test_values_that_differ_give_other_hashes_and_equal_ones_the_same(code):
    import mine

    def of(value):
        return code_hash(mine.Noise(value), "mine", "x")

    values = [None, 0, 0.0, "0", b"0", [0], (0,), {0}, {0: 1}, {1: 0}, [0, 1], [1, 0], np.zeros(2), np.zeros(3), np.float32(0)]
    assert len({of(value) for value in values}) == len(values)
    assert [of(value) for value in values] == [of(value) for value in values]
    assert of({"a": 1, "b": 2}) == of({"b": 2, "a": 1})
    assert of({1, 2, 3}) == of({3, 2, 1})
    assert of(mine.Noise(1)) != of(mine.Noise(2))
    assert of(object()) == of(object())  # of another package: its type alone is known, see `not_covered`


def test_a_fingerprint_says_whether_it_knows_the_weights(code):
    import mine

    unknown = open_generator("python:mine:generate")
    assert unknown.fingerprint().startswith("source-")
    assert "checkpoints" in unknown.not_covered
    mine.generate.fingerprint = lambda: "weights-1"
    known = open_generator("python:mine:generate")
    assert (known.fingerprint(), known.not_covered) == ("weights-1", "")


def test_a_function_of_an_installed_package_is_known_by_its_file(code):
    assert open_generator("python:textwrap:dedent").fingerprint() != open_generator("python:textwrap:indent").fingerprint()
    assert open_generator("python:math:isqrt").fingerprint().startswith("source-")


SUITE = (
    '[suite]\nid = "s"\n[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["16x16"]\nframes = [2]\n[metrics.temporal_flickering]\n'
)


def test_a_run_is_not_resumed_with_another_helper_and_says_what_it_cannot_know(code, capsys):
    (code / "s.toml").write_text(SUITE)
    (code / "p.jsonl").write_text('{"id": "a", "text": "grey"}\n')
    run = evaluate.run(load_suite("s.toml"), "python:mine:generate", evaluate.Path("runs"))
    assert "checkpoints" in run.head.generator.not_covered
    forget()
    evaluate.resume(run)
    assert "its fingerprint does not cover files that its code reads (checkpoints)" in capsys.readouterr().err
    (code / "helper.py").write_text("LEVEL = 8\n")
    forget()
    with pytest.raises(RunError, match="python:mine:generate have changed since this run started"):
        evaluate.resume(run)
