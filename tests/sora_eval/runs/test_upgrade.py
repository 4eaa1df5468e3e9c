"""A run folder of schema 1, written here as its version wrote it, is read in today's words and upgraded when it goes on."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.compare.run_data import data_of
from sora_eval.generators.opening import open_generator
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.rows import MetricRow, OracleRow, SampleRow
from sora_eval.runs.upgrade import SCHEMA_VERSION, upgraded_head
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.video.codec import write_clip
from sora_eval_reports.source import open_source
from sora_eval_reports.text import tables
from tests.runs import moving_square

SPEC = "python:my_generator:noisy"
LAWS = ("permanence", "continuity", "support", "free_fall", "collision", "rigidity")
PHYSICS = "physics_laws-2|blob-tracks-2"
FVD = "fvd|i3d-k400-logits|fp32|frechet|ddof:1|ridge:1e-06|reference:9d615696f9a2"
CASES = ("t000/32x32x9/0", "t001/32x32x9/0")


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def metric(name, label, value, unit, signature, **more):
    """A row of metrics.jsonl: schema 1 did not know what a metric was declared as, nor its family and statistic."""
    return {
        "metric": name,
        "slice": label,
        "value": value,
        "status": "ok",
        "reason": "",
        "n_expected": 2,
        "n_scored": 2,
        "low": None,
        "high": None,
        "method": "none: fewer than 2 prompts",
        "unit": unit,
        "higher_is_better": unit == "share",
        "signature": signature,
        "buckets": {"32x32x9@8": 2},
        "sensitive_to": ["resolution", "length"],
        "pooled": [],
        **more,
    }


@pytest.fixture
def old(workspace):
    """Killed in the second of two cases: the oracle has the first one's scores and a torn line."""
    run = workspace / "runs" / "20260101-000000-0a1b2c"
    (run / "clips").mkdir(parents=True)
    (run / "features").mkdir()
    prompts = [json.loads(line) for line in Path("prompts.jsonl").read_text().splitlines()[:2]]
    prompts = [{"id": f"t00{i}", "text": p["text"], "tags": ["even"], "facts": p["facts"]} for i, p in enumerate(prompts)]
    gate = {"max_increase": None, "max_decrease": 5.0, "floor": 0.02, "window": None, "slice": "all", "profile": None}
    suite = {
        "suite": {"id": "small", "version": 1, "description": ""},
        "prompts": {"file": "prompts.jsonl", "limit": None},
        "axes": {"shapes": ["32x32"], "frames": [9], "fps": 8.0, "seeds": [0]},
        "generate": {"num_inference_steps": None, "guidance_scale": None},
        "reference": None,
        "canonical": None,
        "metrics": {"physics_laws": {}},
        "floors": {"generators": ["world"]},
        "throughput": None,
        "gates": {"physics_laws.permanence": {**gate, "reason": "", "provenance": "mean 0.9 of 5 runs"}},
    }
    head = {
        "schema_version": 1,
        "status": "started",
        "partial": False,
        "limit": None,
        "suite": {"id": "small", "version": 1, "fingerprint": "f00d"},
        "generator": {
            "spec": SPEC,
            "name": "my_generator",
            "checkpoint": "base",
            "fingerprint": open_generator(SPEC).fingerprint(),
            "steps": 7200,
        },
        "git": None,
        "hardware": {"cpu": "abacus", "cores": 2, "memory_bytes": 1, "platform": "Linux"},
        "software": {"sora_eval": "0.1.0", "numpy": "2"},
        "started": "2026-01-01T00:00:00Z",
        "finished": None,
        "command": "sora-eval run small.toml",
    }
    clip = Clip(moving_square(32, 32, 9, "red"), 8.0)
    samples = []
    for case, prompt in zip(CASES, prompts, strict=True):
        file = RunFolder(run).clip_path(case)
        write_clip(clip, file)
        sizes = {"width": 32, "height": 32, "frames": 9, "fps": 8.0, "seed": 0}
        facts = {"prompt_id": prompt["id"], "prompt": prompt["text"], "tags": prompt["tags"], **sizes}
        made = {"status": "ok", "error": "", "clip": f"clips/{file.name}", "sha256": clip.sha256}
        samples.append({"id": case, **facts, **made, "seconds": {"denoise": 0.5}, "peak_bytes": 1000})
    detail = {"broken_frames": [], "objects": {}}
    scores = [
        {"id": case, "metric": f"physics_laws.{law}", "value": 0.5, "status": "ok", "reason": "", "detail": detail}
        | {"signature": PHYSICS}
        for case in CASES
        for law in LAWS
    ]
    metrics = [
        metric("physics_laws.permanence", "all", 0.5, "share", PHYSICS),
        metric("fvd", "all", 465.0, "logits^2", FVD, p=0.01, null=251.8, null_n=32),
        metric("physics_laws.permanence", "floor:world", 1.0, "share", PHYSICS),
        metric("latency", "32x32x9", 0.7, "s", "latency|made"),
    ]
    (run / "suite.json").write_text(json.dumps({"declared": suite, "prompts": prompts}, indent=2) + "\n")
    (run / "samples.jsonl").write_text(lines(*samples))
    (run / "scores.jsonl").write_text(lines(*scores))
    (run / "floors.jsonl").write_text(
        lines(*({"floor": "world"} | row | {"value": 1.0} for row in scores if row["id"] == CASES[0])) + '{"floor": "wor'
    )
    (run / "metrics.jsonl").write_text(lines(*metrics))
    (run / "run.json").write_text(json.dumps(head, indent=2) + "\n")
    return RunFolder(run)


def files(run):
    return {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}


def test_a_run_of_schema_1_is_read_in_todays_words_and_left_as_it_is(old):
    before = files(old)
    data = data_of(RunFolder.open(old.path))
    assert data.head.generator.training_steps == 7200
    assert (data.head.git.commit, data.head.git.dirty) == (None, None)
    assert set(data.metrics) == {
        ("physics_laws.permanence", "all"),
        ("fvd", "all"),
        ("physics_laws.permanence", "oracle:world"),
        ("latency", "32x32x9"),
    }
    fvd, world = data.metrics["fvd", "all"], data.metrics["physics_laws.permanence", "oracle:world"]
    assert fvd.statistic == SetStatistic(kind="frechet", ddof=1, ridge=1e-6)
    assert (fvd.declared, fvd.family, fvd.value, fvd.null) == ("fvd", "distribution", 465.0, 251.8)
    assert (world.declared, world.family, world.value, world.statistic) == ("physics_laws", "physics", 1.0, None)
    assert (data.metrics["latency", "32x32x9"].declared, data.metrics["latency", "32x32x9"].family) == ("", "speed")
    assert {(r.oracle, r.id) for r in old.rows(OracleRow)} == {("world", CASES[0])}
    suite = stored_suite(old)
    assert suite.oracles.generators == ["world"]
    assert suite.gates["physics_laws.permanence"].min_change == 0.02
    assert files(old) == before


def test_a_report_of_a_run_of_schema_1_has_its_oracle_and_training_steps(old):
    before = files(old)
    source = open_source([old.path])
    assert source.problems == []
    assert source.frames.runs["training_steps"].tolist() == [7200]
    table = tables.quality_table(source.frames).set_index("metric")
    assert table.loc["physics_laws.permanence", "oracle:world"] == "1"
    done = CliRunner().invoke(app, ["report", str(old.path), "--html", "--out", "page.html"])
    assert done.exit_code == 0, done.output
    assert "physics_laws.permanence" in Path("page.html").read_text().replace("<wbr>", "")
    assert files(old) == before


def assert_upgraded(run):
    """On disk nothing is left of schema 1; `floor` stays a word of the prompts' facts alone."""
    assert not (run.path / "floors.jsonl").exists()
    head, suite = (json.loads((run.path / name).read_text()) for name in ("run.json", "suite.json"))
    assert head["schema_version"] == SCHEMA_VERSION
    assert head["generator"]["training_steps"] == 7200
    assert "steps" not in head["generator"]
    assert suite["declared"]["oracles"] == {"generators": ["world"]}
    assert suite["declared"]["gates"]["physics_laws.permanence"]["min_change"] == 0.02
    assert not {"floors", "floor"} & {*suite["declared"], *suite["declared"]["gates"]["physics_laws.permanence"]}
    assert not any('"floor' in path.read_text() for path in run.path.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("spec", "fingerprint", "words"),
    [
        ("python:mine:generate", "source-0123456789abcdef", "weights, and all code but one function"),
        ("folder:clips", "0123456789abcdef", "the content of files"),
        ("reference", "w1", ""),
    ],
)
def test_a_run_that_does_not_say_what_its_fingerprint_knows_is_read_with_what_it_knew(spec, fingerprint, words):
    generator = {"spec": spec, "fingerprint": fingerprint}
    assert upgraded_head({"schema_version": 3, "generator": generator})["generator"]["not_covered"] == words
    said = {**generator, "not_covered": "this"}
    assert upgraded_head({"schema_version": 3, "generator": said})["generator"] == said


def test_repair_upgrades_the_folder_once(old):
    tables_before = [old.rows(row) for row in (SampleRow, OracleRow, MetricRow)]
    head = old.head
    old.repair()
    assert_upgraded(old)
    assert old.head == head
    assert [old.rows(row) for row in (SampleRow, OracleRow, MetricRow)] == tables_before
    once = files(old)
    old.repair()
    assert files(old) == once


def test_a_killed_run_of_schema_1_goes_on_in_todays_schema(old):
    before = old.rows(OracleRow)
    (old.path / "metrics.jsonl").unlink()
    refused = CliRunner().invoke(app, ["run", "--resume", str(old.path)])
    assert "was not made here by you" in str(refused.exception)  # schema 1 has no signature
    done = CliRunner().invoke(app, ["run", "--resume", str(old.path), "--trust"])
    assert done.exit_code == 0, done.output
    run = RunFolder.open(old.path)
    assert_upgraded(run)
    assert run.head.status == "success"
    oracles = run.rows(OracleRow)
    assert oracles[: len(before)] == before  # nothing is scored twice
    assert [r.id for r in oracles] == [CASES[0]] * len(LAWS) + [CASES[1]] * len(LAWS)
    rows = {(r.metric, r.slice): r for r in run.rows(MetricRow)}
    assert rows["physics_laws.permanence", "oracle:world"].value == 1.0
    assert rows["physics_laws.permanence", "oracle:world"].n_scored == 2
    assert rows["physics_laws.permanence", "all"].value == 0.5
