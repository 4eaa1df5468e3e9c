"""JSON schemas say of files what the classes that read them say, and every file of a real run is valid."""

import json
import tomllib

import jsonschema
import pytest

from sora_eval.gate.gate_run import gate_run
from sora_eval.pipeline.run import run
from sora_eval.records.verdict import GateResult
from sora_eval.registry.metrics import METRICS
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import TABLES
from sora_eval.runs.schemas import SCHEMAS, schema_of
from sora_eval.suite import load_suite, shipped
from sora_eval.suite.suite import Suite
from sora_eval.util.errors import SuiteError
from tests.commands import sora_eval
from tests.sora_eval.conftest import write_network

GATED = """
[gates.clip_score]
max_decrease = 2.5
repeats = { runs = 6, cases = 64, mean = 89.8, sd = 0.23 }

[gates.latency]
max_increase = 10
sessions = { runs = 3, percent = 1.5 }

[gates.tradeoff]
faster = 5
"""


def valid(name, data):
    jsonschema.Draft202012Validator(schema_of(name)).validate(data)


def is_valid(name, data):
    return jsonschema.Draft202012Validator(schema_of(name)).is_valid(data)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name):
    jsonschema.Draft202012Validator.check_schema(schema_of(name))


@pytest.mark.parametrize("row", TABLES, ids=lambda row: row.table)
def test_a_table_has_the_fields_of_its_class_and_their_meaning(row):
    schema = schema_of(row.table)
    assert schema["properties"].keys() == row.model_fields.keys()
    assert schema["additionalProperties"] is False
    assert {name for name, field in row.model_fields.items() if field.is_required()} == set(schema["required"])
    assert all("description" in field for field in schema["properties"].values())


def test_run_and_suite_have_the_fields_of_their_classes():
    assert schema_of("run")["properties"].keys() == (RunHead.model_fields.keys() - {"run"}) | {"digest", "signature"}
    assert schema_of("suite")["properties"].keys() == Suite.model_fields.keys() - {"tradeoff"}
    assert schema_of("verdicts")["properties"].keys() == GateResult((), False, None, {}, {}).to_json().keys()


@pytest.mark.parametrize("name", shipped())
def test_shipped_suites_and_their_prompts_are_valid(name):
    suite = load_suite(name)
    valid("suite", tomllib.loads(suite.path.read_text()))
    if suite.prompts is not None:
        for line in (suite.path.parent / suite.prompts.file).read_text().splitlines():
            valid("prompts", json.loads(line))


def test_metrics_complete_their_options_with_types_defaults_and_choices():
    metrics = schema_of("suite")["properties"]["metrics"]["properties"]
    assert metrics.keys() == METRICS.built_in.keys()
    assert metrics["clip_score"]["properties"]["model"] == {"type": "string", "default": "world"}
    assert "styleganv" in metrics["fvd"]["properties"]["protocol"]["enum"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("frames = [9]", "frame = [9]"),
        ("frames = [9]", 'frames = "9"'),
        ("frames = [9]", 'frames = ["9"]'),
        ("frames = [9]", "frames = [0]"),
        ("frames = [9]", "frames = []"),
        ("frames = [9]", "frames = [9]\nfps = 0"),
        ("[axes]", "[axis]"),
        ('id = "small"', ""),
        ("[metrics.clip_score]", "[metrics.clip_score]\nmodle = 'x'"),
        ("[metrics.clip_score]", "[metrics.clip_score]\nframes = 2.5"),
        ("[metrics.clip_score]", "[metrics.fvd]\nprotocol = 'other'"),
        ("[throughput]", "[gates.clip_score]\nmax_decrees = 1\n[throughput]"),
        ("[throughput]", "[gates.clip_score]\nmax_decrease = -1\n[throughput]"),
        ("[throughput]", "[gates.tradeoff]\nslower = 1\n[throughput]"),
        ("repeats = 2", "repeats = 0"),
    ],
)
def test_what_a_suite_refuses_the_schema_refuses(workspace, old, new):
    text = (workspace / "small.toml").read_text()
    valid("suite", tomllib.loads(text))
    (workspace / "bad.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(SuiteError):
        load_suite("bad.toml")
    assert not is_valid("suite", tomllib.loads(text.replace(old, new, 1)))


def test_options_of_a_generators_own_stand_in_generate_or_in_a_table_of_theirs():
    suite = {"suite": {"id": "s"}, "metrics": {"temporal_flickering": {}}}
    valid("suite", {**suite, "generate": {"flow_shift": 3.0, "guidance_scale": 5.0}})
    valid("suite", {**suite, "generate": {"options": {"sigmas": [1.0, 0.5]}}})
    assert not is_valid("suite", {**suite, "generate": {"guidance_scale": "5"}})


def test_every_file_of_a_real_run_is_valid(workspace):
    text = (
        workspace / "small.toml"
    ).read_text() + "\n[metrics.fvd]\nnetwork = 'means.onnx'\n[reference]\ngenerator = 'world'\n"
    text += "copies = 2\n[oracles]\ngenerators = ['world']\n" + GATED
    write_network(workspace / "means.onnx")
    (workspace / "gated.toml").write_text(text)
    valid("suite", tomllib.loads(text))
    suite = load_suite("gated.toml", ["prompts.limit=3"])
    base, new = run(suite, "world", "runs"), run(suite, "python:my_generator:noisy", "runs")
    gate_run(new, base.path)
    valid("run", json.loads((new.path / "run.json").read_text()))
    valid("verdicts", json.loads((new.path / "verdicts.json").read_text()))
    lines = {row.table: (new.path / f"{row.table}.jsonl") for row in TABLES}
    present = {table: path.read_text().splitlines() for table, path in lines.items() if path.exists()}
    assert {"samples", "scores", "metrics", "oracles", "timings", "attribution"} <= present.keys()
    for table, rows in present.items():
        assert rows
        validator = jsonschema.Draft202012Validator(schema_of(table))
        for line in rows:
            validator.validate(json.loads(line))
    assert not is_valid("scores", {**json.loads(present["scores"][0]), "vlaue": 1})
    assert not is_valid("verdicts", {**json.loads((new.path / "verdicts.json").read_text()), "verdict": "GOOD"})


def test_the_command_writes_all_or_prints_one(tmp_path):
    done = sora_eval("schema", "--out", tmp_path / "schemas")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "schemas").iterdir()} == {f"{name}.schema.json" for name in SCHEMAS}
    printed = sora_eval("schema", "suite").stdout
    assert json.loads(printed) == schema_of("suite") == json.loads((tmp_path / "schemas" / "suite.schema.json").read_text())
    unknown = sora_eval("schema", "verdict")
    assert (unknown.returncode, "did you mean 'verdicts'" in unknown.stderr) == (2, True)
    assert sora_eval("schema").returncode == 2
