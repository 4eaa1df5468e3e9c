"""A run in the formats of other places holds the values of the run, and says what it leaves out."""

import json

import pandas as pd
import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results

from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow
from sora_eval_reports.export.formats import EXPORTS
from tests.commands import sora_eval
from tests.runs import drawn_run, edit, make_run


@pytest.fixture
def run(tmp_path):
    """A finished run, whose warping_error has no value."""
    made = drawn_run(tmp_path / "runs", "made", steps=500)
    lost = {"value": None, "status": "error", "reason": "the network is missing", "low": None, "high": None}
    edit(made, MetricRow, lambda r: {**r, **lost} if r["metric"] == "warping_error" else r)
    return made


@pytest.fixture
def vbench(tmp_path):
    path = tmp_path / "x_eval_results.json"
    path.write_text(json.dumps({"scene": [0.25, [{"video_path": "a-0.mp4", "video_results": 0.25}]]}))
    return path


def exported(run, to, *arguments):
    done = sora_eval("export", run.path, "--to", to, "--out", run.path.parent / "out", *arguments)
    assert done.returncode == 0, done.stderr
    return done, [run.path.parent.joinpath(line) for line in done.stdout.splitlines()]


def values(run):
    return {r.metric: r.value for r in run.rows(MetricRow) if r.slice == "all" and r.status == "ok"}


@pytest.mark.parametrize("to", sorted(set(EXPORTS) - {"wandb"}))  # no files; test_trackers
def test_every_format_names_what_has_no_value_and_no_folder_of_this_machine(run, to):
    done, files = exported(run, to, "--dataset", "me/benchmark")
    assert files
    assert all(file.is_file() for file in files)
    assert "warping_error is left out: the network is missing" in done.stderr
    if to != "csv":  # the tables hold the rows without a value too, as such
        assert "warping_error" not in "".join(file.read_text() for file in files)
    assert str(run.path.parent) not in "".join(file.read_text() for file in files)


def test_a_model_index_is_read_by_the_hubs_client(run):
    _, (file,) = exported(run, "model-index")
    name, results = model_index_to_eval_results(yaml.safe_load(file.read_text())["model-index"])
    assert name == "made:early"
    known = {r.metric_type: r.metric_value for r in results if r.metric_name == r.metric_type}
    assert known == values(run)
    assert {r.task_type for r in results} == {"text-to-video"}
    assert all(r.metric_args["signature"] for r in results if r.metric_type in values(run))


def test_results_of_the_hub_have_an_entry_per_value_and_need_a_data_set(run):
    _, (file,) = exported(run, "hub-results", "--dataset", "me/benchmark")
    assert file.parent.name == ".eval_results"
    entries = yaml.safe_load(file.read_text())
    assert {e["dataset"]["id"] for e in entries} == {"me/benchmark"}
    found = {e["dataset"]["task_id"]: e["value"] for e in entries}
    assert found["clip_score"] == values(run)["clip_score"]
    assert "latency[32x32x9]" in found
    refused = sora_eval("export", run.path, "--to", "hub-results")
    assert refused.returncode == 2
    assert "--dataset OWNER/NAME" in refused.stderr


def test_a_record_of_every_eval_ever_has_what_its_schema_requires(run):
    _, (file,) = exported(run, "every-eval-ever")
    record = json.loads(file.read_text())
    required = {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library"}
    assert required | {"evaluation_results"} <= record.keys()
    assert {"source_type", "source_organization_name", "evaluator_relationship"} <= record["source_metadata"].keys()
    assert record["model_info"]["name"] == "made:early"
    by_name = {r["evaluation_name"]: r for r in record["evaluation_results"]}
    assert "dynamic_degree.magnitude" not in by_name  # neither direction is better
    row = next(r for r in run.rows(MetricRow) if r.metric == "clip_score" and r.slice == "all")
    result = by_name["clip_score"]
    assert result["score_details"]["score"] == row.value
    interval = result["score_details"]["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"], interval["confidence_level"]) == (row.low, row.high, 0.95)
    assert "confidence_interval" not in by_name["latency[32x32x9]"]["score_details"]["uncertainty"]
    for entry in by_name.values():  # the schema takes a result without a type for one of levels
        assert entry["metric_config"]["score_type"] == "continuous"
        assert entry["metric_config"]["min_score"] < entry["score_details"]["score"] < entry["metric_config"]["max_score"]
        details = [entry["metric_config"]["additional_details"], entry["score_details"]["details"]]
        assert all(isinstance(value, str) for table in details for value in table.values())


def test_vbenchs_names_are_given_to_vbenchs_numbers_only(run, vbench):
    _, (file,) = exported(run, "vbench-json", "--with", vbench)
    data = json.loads(file.read_text())
    assert data["scene"][0] == 0.25
    mean, videos, facts = data["sora_eval.clip_score"]
    assert mean == values(run)["clip_score"]
    assert sum(v["video_results"] for v in videos) / len(videos) == pytest.approx(mean)
    assert facts["signature"] == "clip_score|made"
    assert not {"total_score", "sora_eval.vbench.total_score", "clip_score"} & data.keys()


def test_tables_are_csv(run):
    _, files = exported(run, "csv")
    assert {file.name for file in files} >= {"metrics.csv", "scores.csv", "samples.csv"}
    metrics = pd.read_csv(next(f for f in files if f.name == "metrics.csv")).set_index(["metric", "slice"])
    assert metrics.loc[("clip_score", "all"), "value"] == pytest.approx(values(run)["clip_score"])


def test_vbenchs_results_stand_beside_ours(run, vbench):
    done = sora_eval("show", run.path, "--with", vbench, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "vbench.scene 0.25" in words
    assert "vbench.total_score undefined" in words
    assert "vbench.total_score: VBench's total score needs 16 dimensions; missing: subject_consistency" in words
    assert "clip_score" in words
    assert sora_eval("show", run.path, run.path, "--with", vbench).returncode == 2


def test_what_cannot_be_exported_is_one_message(run, tmp_path):
    unknown = sora_eval("export", run.path, "--to", "model-indx")
    assert (unknown.returncode, "did you mean 'model-index'" in unknown.stderr) == (2, True)
    started = make_run(tmp_path / "started", {"clip_score": [1.0] * 24}, status="started")
    refused = sora_eval("export", started.path, "--to", "csv")
    assert refused.returncode == 2
    assert "the run has status 'started'" in refused.stderr
    partial = make_run(tmp_path / "partial", {"clip_score": [1.0] * 24}, partial=True, limit=3)
    _, (file,) = exported(RunFolder.open(partial.path), "model-index")
    assert "partial" in file.read_text()


def test_the_help_names_every_format():
    assert all(name in sora_eval("export", "--help", COLUMNS="300").stdout for name in EXPORTS)
