"""Suites are strict, and a case keeps its id."""

import json

import pytest

from sora_eval.errors import SuiteError
from sora_eval.evaluate import plan
from sora_eval.generators import Capabilities
from sora_eval.suite import Suite, load_suite, shipped


@pytest.mark.parametrize("name", ["quick", "throughput", "videos", "world"])
def test_shipped_suites_are_valid(name):
    assert name in shipped()
    suite = load_suite(name)
    assert suite.suite.id == name
    ids = [c.id for c in suite.cases]
    assert len(set(ids)) == len(ids)


def test_quick_measures_all_four_families_and_speed():
    from sora_eval.metrics import REGISTRY

    suite = load_suite("quick")
    assert {REGISTRY[m].family for m in suite.metrics} == {"distribution", "text", "temporal", "physics"}
    assert suite.throughput is not None


def test_ids_and_fingerprint_depend_on_what_is_declared_only(workspace):
    suite = load_suite("small.toml")
    by_id = {c.id: c for c in suite.cases}
    lines = (workspace / "prompts.jsonl").read_text().splitlines()
    (workspace / "prompts.jsonl").write_text("\n".join(reversed(lines)))
    turned = load_suite("small.toml")
    assert {c.id: c for c in turned.cases} == by_id
    assert suite.cases[0].id == f"{suite.cases[0].prompt.id}/32x32x9/0"
    text = (workspace / "small.toml").read_text()
    (workspace / "small.toml").write_text(text.replace('id = "small"', 'id = "small"\ndescription = "words"'))
    assert load_suite("small.toml").fingerprint == turned.fingerprint
    (workspace / "small.toml").write_text(text.replace("frames = [9]", "frames = [13]"))
    assert load_suite("small.toml").fingerprint != turned.fingerprint


def test_a_suite_survives_its_json(workspace):
    suite = load_suite("small.toml")
    again = Suite.from_json(json.loads(json.dumps(suite.to_json())), workspace / "elsewhere.toml")
    assert again.fingerprint == suite.fingerprint
    assert again.cases == suite.cases


BAD = [
    ("frames = [9]", 'frames = "9"', r"\[axes\]\.frames = '9': input should be a valid list"),
    ("frames = [9]", 'frames = ["9"]', r"\[axes\].frames.0 = '9': input should be a valid integer"),
    ("frames = [9]", "frame = [9]", r"\[axes\].frame is not known; did you mean 'frames'"),
    ('"40x24"', '"40by24"', r"'40by24' is not WIDTHxHEIGHT"),
    (
        "[metrics.clip_score]",
        "[metrics.clip_scor]",
        r"\[metrics.clip_scor\] is not a metric; did you mean 'clip_score'",
    ),
    ("[metrics.clip_score]", "[metrics.clip_score]\nframes = 2.5", r"frames = 2.5 is float; expected int"),
    ("[metrics.clip_score]", "[metrics.clip_score]\nmodle = 'x'", r"modle is not an option; did you mean 'model'"),
    ('"prompts.jsonl"', '"gone.jsonl"', r"\[prompts\].file = 'gone.jsonl': .* does not exist"),
    ("[axes]", "[axis]", r"\[axis\] is not known; did you mean 'axes'"),
    ("repeats = 2", "repeats = 0", r"\[throughput\].repeats = 0"),
    ("[suite]", "[suite", r"not valid TOML"),
    ('id = "small"', "", r"\[suite\].id is missing"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_bad_suites_have_one_clear_message(workspace, old, new, message):
    path = workspace / "small.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SuiteError, match=message) as error:
        load_suite(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected a JSON object"),
        ('{"id": "x"}', "expected a JSON object with id and text"),
        ('{"id": "a b", "text": "x"}', "id 'a b' may have letters"),
        ('{"id": "x", "text": " "}', "'x' is empty"),
        ('{"id": "x", "text": "a"}\n{"id": "x", "text": "b"}', "ids occur twice: x"),
        ("", "no prompts"),
    ],
)
def test_bad_prompt_files_name_file_and_line(workspace, line, message):
    (workspace / "prompts.jsonl").write_text(line)
    with pytest.raises(SuiteError, match=message):
        load_suite("small.toml")


def test_shapes_that_a_generator_cannot_make_are_refused_before_anything_runs(workspace):
    class Picky:
        capabilities = Capabilities(side=8, stride=4)

    path = workspace / "small.toml"
    path.write_text(path.read_text().replace("frames = [9]", "frames = [10]").replace("32x32x5", "33x32x5"))
    with pytest.raises(SuiteError) as error:
        plan(load_suite(path), Picky())
    assert str(error.value).splitlines() == [
        f"{path}: [axes].frames = 10 is not 1 + a multiple of 4; nearest valid: 9, 13",
        f"{path}: [throughput].width = 33 is not a multiple of 8; nearest valid: 32, 40",
    ]
