"""Suites are strict, and a case keeps its id."""

import importlib
import json

import pytest

from sora_eval.pipeline.plan import check, plan
from sora_eval.records.capabilities import Capabilities
from sora_eval.registry.metrics import METRICS
from sora_eval.suite import Suite, gates_of, load_suite, shipped
from sora_eval.util.errors import SuiteError


@pytest.mark.parametrize("name", shipped())
def test_shipped_suites_are_valid(name):
    suite = load_suite(name)
    assert suite.suite.id == name
    ids = [c.id for c in suite.cases]
    assert len(set(ids)) == len(ids)


def test_quick_measures_all_four_families_and_speed():
    from sora_eval.registry.metrics import METRICS

    suite = load_suite("quick")
    assert {METRICS.built_in[m].family for m in suite.metrics} == {"distribution", "text", "temporal", "physics"}
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


GATED = """
[gates.clip_score]
max_decrease = 2
floor = 0.5
reason = "words"

[gates."physics_laws.permanence"]
max_decrease = 1.5
window = [0.2, 1]

[gates."latency.denoise"]
max_increase = 10
profile = "desk"
"""


def test_gates_are_declared_by_metric_and_change_no_fingerprint(workspace):
    plain = load_suite("small.toml")
    (workspace / "gated.toml").write_text((workspace / "small.toml").read_text() + GATED)
    gated = load_suite("gated.toml")
    assert gated.fingerprint == plain.fingerprint
    assert gated.gates["clip_score"].max_decrease == 2.0
    assert gated.gates["physics_laws.permanence"].window == [0.2, 1.0]
    assert gated.gates["clip_score"].slice == "all"
    again = Suite.from_json(json.loads(json.dumps(gated.to_json())), workspace / "gated.toml")
    assert again.gates == gated.gates
    assert gates_of(gated, plain.fingerprint) == gated.gates
    with pytest.raises(SuiteError, match="is not the suite of the run"):
        gates_of(gated, "another")


@pytest.mark.parametrize("name", sorted(METRICS.built_in))
def test_the_registry_knows_the_outputs_that_a_gate_can_name(name):
    """Read from the class, so that no weights are needed."""
    module, _, attribute = METRICS.built_in[name].target.partition(":")
    outputs = getattr(importlib.import_module(module), attribute).outputs
    assert (METRICS.built_in[name].outputs or (name,)) == tuple(o.name for o in outputs)


def test_a_suite_survives_its_json(workspace):
    suite = load_suite("small.toml")
    again = Suite.from_json(json.loads(json.dumps(suite.to_json())), workspace / "elsewhere.toml")
    assert again.fingerprint == suite.fingerprint
    assert again.cases == suite.cases


LAST = "[throughput]"
BAD = [
    ("frames = [9]", 'frames = "9"', r":10: \[axes\]\.frames = '9'; expected a valid list"),
    ("frames = [9]", 'frames = ["9"]', r"\[axes\].frames.0 = '9'; expected a valid integer"),
    ("frames = [9]", "frame = [9]", r"\[axes\].frame is not known; did you mean 'frames'"),
    ('"40x24"', '"40by24"', r"'40by24' is not WIDTHxHEIGHT"),
    (
        "[metrics.clip_score]",
        "[metrics.clip_scor]",
        r"\[metrics.clip_scor\]: metric 'clip_scor' is not known; did you mean 'clip_score'",
    ),
    ("[metrics.clip_score]", "[metrics.clip_score]\nframes = 2.5", r"frames = 2.5 is float; expected int"),
    ("[metrics.clip_score]", "[metrics.clip_score]\nmodle = 'x'", r"modle is not an option; did you mean 'model'"),
    ('"prompts.jsonl"', '"gone.jsonl"', r"\[prompts\].file = 'gone.jsonl': .* does not exist"),
    ("[axes]", "[axis]", r"\[axis\] is not known; did you mean 'axes'"),
    ("repeats = 2", "repeats = 0", r"\[throughput\].repeats = 0"),
    ("[suite]", "[suite", r"not valid TOML"),
    (LAST, "[gates.clip_scor]\nmax_decrease = 1", r"\[gates.clip_scor\] is not measured .* mean 'clip_score'"),
    (
        LAST,
        "[gates.'physics_laws.permanense']\nmax_decrease = 1",
        r"permanense\"\] is not measured .* 'physics_laws.permanence'",
    ),
    (LAST, "[gates.fvd]\nmax_increase = 1", r"\[gates.fvd\] is not measured by this suite"),
    (
        LAST,
        "[gates.clip_score]\nmax_decrees = 1",
        r"\[gates\].clip_score.max_decrees is not known; did you mean 'max_decrease'",
    ),
    (LAST, "[gates.clip_score]\nfloor = 1", r"\[gates.clip_score\]: a gate needs at least one of"),
    (LAST, "[gates.clip_score]\nwindow = [0, 1]\ntags = { limit = 9 }", r"\[gates.clip_score\]: tags limit a change: give max"),
    (LAST, "[gates.clip_score]\nmax_decrease = -1", r"max_decrease = -1; expected greater than or equal to 0"),
    (LAST, "[gates.clip_score]\nmax_decrease = nan", r"max_decrease = nan; expected a finite number"),
    (LAST, "[gates.clip_score]\nmax_decrease = 1\nmin_change = inf", r"min_change = inf; expected a finite number"),
    ('"40x24"', '"32x32"', r"\[axes\].shapes = .*; expected different values; '32x32' occurs twice"),
    ('"40x24"', '"40x24\\n"', r"'40x24\\n' is not WIDTHxHEIGHT"),
    ('"40x24"', '"99999999x24"', r"'99999999x24' is not WIDTHxHEIGHT"),
    ("frames = [9]", "frames = [9, 9]", r"\[axes\].frames = \[9, 9\]; expected different values; 9 occurs twice"),
    ("frames = [9]", "frames = [9]\nseeds = [0, 1, 0]", r"\[axes\].seeds = \[0, 1, 0\]; expected different values; 0"),
    *(
        ("frames = [9]", f"frames = [9]\nfps = {fps}", rf":11: \[axes\].fps = {value}; expected")
        for fps, value in [
            ("inf", "inf"),
            ("nan", "nan"),
            ("1e-9", "1e-09"),
            ("1e12", "1000000000000.0"),
            ("0", "0"),
            ("-8", "-8"),
        ]
    ),
    ("[axes]", "[generate]\nguidance_scale = nan\n[axes]", r"guidance_scale = nan; expected a finite number"),
    ("[axes]", "[generate]\nguidance_scale = inf\n[axes]", r"guidance_scale = inf; expected a finite number"),
    ("[metrics.clip_score]", "[metrics.clip_score]\nx = [nan]", r"\[metrics.clip_score\]; expected finite numbers; one is nan"),
    ('id = "small"', 'id = ""', r":3: \[suite\].id = ''; expected 1 to 200 letters"),
    ('id = "small"', 'id = "../escaped"', r":3: \[suite\].id = '../escaped'; expected 1 to 200 letters"),
    ('id = "small"', 'id = "a\\u001b"', r":3: \[suite\].id = 'a\\x1b'; expected 1 to 200 letters"),
    ('id = "small"', "id = " + "[" * 5000, r"not valid TOML: "),
    ('id = "small"', 'id = "a\0b"', r"not valid TOML: "),
    ('id = "small"', f'id = "a"\nversion = {"9" * 5000}', r"not valid TOML: "),
    (LAST, "[gates.clip_score]\nwindow = [2, 1]", r"window = \[2, 1\]; expected \[low, high\]"),
    (LAST, "[gates.clip_score]\nwindow = [1]", r"window = \[1\]; expected \[low, high\]"),
    ('id = "small"', "", r"\[suite\].id is missing"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_bad_suites_have_one_clear_message(workspace, old, new, message):
    path = workspace / "small.toml"
    new = f"{new}\n{old}" if old == LAST else new
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SuiteError, match=message) as error:
        load_suite(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":1: expected a JSON object with id and text: Expecting property name"),
        ("\n[]", ":2: expected a JSON object with id and text, found '\\[\\]'"),
        ('{"id": "x"}', ":1: text is missing"),
        ('{"id": "a b", "text": "x"}', ":1: id = 'a b'; expected 1 to 200 letters"),
        ('{"id": "", "text": "x"}', ":1: id = ''; expected"),
        ('{"id": ".x", "text": "x"}', ":1: id = '.x'; expected"),
        ('{"id": "../x", "text": "x"}', ":1: id = '../x'; expected"),
        ('{"id": "x\\u001b[2J", "text": "x"}', r":1: id = 'x\\x1b\[2J'; expected"),
        ('{"id": 7, "text": "x"}', ":1: id = 7; expected a valid string"),
        ('{"id": "x", "text": " "}', ":1: text = ' '; expected words"),
        ('{"id": "x", "text": null}', ":1: text = None; expected a valid string"),
        ('{"id": "x", "text": ["a"]}', r":1: text = \['a'\]; expected a valid string"),
        ('{"id": "x", "text": "a", "tags": "dog"}', ":1: tags = 'dog'; expected a valid list"),
        ('{"id": "x", "text": "a", "tags": [1]}', ":1: tags.0 = 1; expected a valid string"),
        ('{"id": "x", "text": "a", "facts": []}', r":1: facts = \[\]; expected a valid dictionary"),
        ('{"id": "x", "text": "a", "facts": {"g": 1e999}}', ":1: facts = .*; expected finite numbers; one is inf"),
        ('{"id": "x", "text": "a", "facts": {"g": NaN}}', ":1: NaN is no number of JSON"),
        ('{"id": "x", "text": "a", "tag": []}', ":1: tag is not known; did you mean 'tags'"),
        ('{"id": "x", "text": "a", "text": "b"}', ":1: the key 'text' occurs twice in one object"),
        ('{"id": "x", "text": "\\ud800"}', ":1: a string holds half of a surrogate pair"),
        ("[" * 50_000, ":1: nested too deeply"),
        ('{"id": "x", "text": "a"}\n\n{"id": "x", "text": "b"}', ":3: id = 'x'; expected another one than at 1"),
        ("", "no prompts"),
    ],
)
def test_bad_prompt_files_name_file_and_line(workspace, line, message):
    (workspace / "prompts.jsonl").write_text(line)
    with pytest.raises(SuiteError, match=message):
        load_suite("small.toml")


def test_a_rate_that_a_generator_cannot_make_is_refused_before_anything_runs(workspace):
    path = workspace / "small.toml"
    path.write_text(path.read_text().replace("frames = [9]", "frames = [9]\nfps = 24"))
    for spec in ("reference", "world", "vae"):
        with pytest.raises(SuiteError, match=r"\[axes\]\.fps = 24; clips of .* have 8, so say fps = 8"):
            check(load_suite(path), spec)


def test_shapes_that_a_generator_cannot_make_are_refused_before_anything_runs(workspace):
    class Picky:
        name = "picky"
        capabilities = Capabilities(side=8, stride=4)

    path = workspace / "small.toml"
    path.write_text(path.read_text().replace("frames = [9]", "frames = [10]").replace("32x32x5", "33x32x5"))
    with pytest.raises(SuiteError) as error:
        plan(load_suite(path), Picky())
    assert str(error.value).splitlines() == [
        f"{path}: [axes].frames = 10 is not 1 + a multiple of 4; nearest valid: 9, 13",
        f"{path}: [throughput].width = 33 is not a multiple of 8; nearest valid: 32, 40",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[suite]\nid = "caf\xe9"', "byte 17 is 0xe9; expected text in UTF-8"),
        (None, r"is a folder, not shipped; .*: sora-eval run videos -g folder:.*s\.toml$"),
    ],
)
def test_a_file_that_is_no_text_is_one_message(tmp_path, content, message):
    path = tmp_path / "s.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(SuiteError, match=message) as error:
        load_suite(path)
    assert "\n" not in str(error.value)


def test_names_that_are_no_paths_are_one_message():
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(SuiteError, match=r"^suite .*(File name too long|neither a file nor shipped)"):
            load_suite(name)


@pytest.mark.parametrize("name", ["text2vido", "text2video.tml", "suites_of_mine/text2video.toml"])
def test_a_name_that_is_almost_one_is_answered_by_it(name):
    with pytest.raises(SuiteError, match="did you mean 'text2video'"):
        load_suite(name)


def test_a_prompt_file_has_a_largest_size(workspace):
    with (workspace / "prompts.jsonl").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(SuiteError, match=r"prompts.jsonl: 1073741824 bytes; expected at most 268435456"):
        load_suite("small.toml")


@pytest.mark.parametrize("change", [{"id": "../x"}, {"text": None}, {"tags": "dog"}, {"extra": 1}])
def test_the_prompts_of_a_run_are_checked_like_those_of_a_suite(workspace, change):
    data = json.loads(json.dumps(load_suite("small.toml").to_json()))
    data["prompts"][0] |= change
    with pytest.raises(ValueError, match=r"expected|is not known"):
        Suite.from_json(data, workspace / "suite.json")
    data["prompts"][0] = data["prompts"][1]
    with pytest.raises(ValueError, match=r"prompts.1: id = .*; expected another one than at 0"):
        Suite.from_json(data, workspace / "suite.json")


def test_facts_that_the_world_cannot_render_are_refused_by_validate(workspace):
    lines = [json.loads(line) for line in (workspace / "prompts.jsonl").read_text().splitlines()]
    lines[1]["facts"]["objects"][0]["colour"] = "pink"
    lines[2]["facts"] = {"objects": 3}
    (workspace / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    suite = load_suite("small.toml")
    check(suite, "reference")
    with pytest.raises(SuiteError) as error:
        check(suite, "world")
    first, second = str(error.value).splitlines()
    assert first.startswith(f"{suite.path}: facts of the prompt {lines[1]['id']!r}: object colour is 'pink'; expected one of")
    assert "facts need 'objects', a list of tables" in second
