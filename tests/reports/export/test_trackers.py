"""What TensorBoard, MLflow and Weights & Biases hold afterwards is what the run holds."""

import json
import re
import shutil
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.runs.folder import RunFolder
from sora_eval.util.errors import RunError
from sora_eval_reports.export import trackers as writers
from sora_eval_reports.source import Source, open_source


def expected(source, run):
    own = source.frames.metrics
    own = own[own["run"].eq(run) & own["slice"].eq("all")]
    return {f"{r['family']}/{r['metric']}": r["value"] for r in own.to_dict("records")}


def test_tensorboard_scalars_stand_at_the_training_steps(pair, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    source = open_source(pair)
    done = CliRunner().invoke(app, ["report", *map(str, pair), "--tensorboard", str(tmp_path / "logs")])
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "logs").iterdir()  # one training, a point per step
    assert folder.name == "made-made"
    events = EventAccumulator(str(folder))
    events.Reload()
    assert "speed/latency/32x32x9" in events.Tags()["tensors"]
    for run, steps in (("base-run", 500), ("new-run", 2000)):
        for tag, value in expected(source, run).items():
            (event,) = [e for e in events.Tensors(tag) if e.step == steps]
            assert make_ndarray(event.tensor_proto).item() == pytest.approx(value, rel=1e-6)


def heads(source, *generators):
    """A source whose runs have these checkpoints and training steps."""
    runs = []
    for i, (checkpoint, steps) in enumerate(generators):
        head = source.runs[0].head
        generator = head.generator.model_copy(update={"checkpoint": checkpoint, "training_steps": steps})
        runs.append(SimpleNamespace(name=f"run{i}", head=head.model_copy(update={"generator": generator})))
    return Source(runs)


@pytest.mark.parametrize(
    ("generators", "found"),
    [
        ([("early", 5), ("base", 20)], {"made-made": {5: "run0", 20: "run1"}}),
        (
            [("a/step_5", 5), ("a/step_20", 20), ("b/step_5", 5)],
            {"made-made-a_step": {5: "run0", 20: "run1"}, "made-made-b_step": {5: "run2"}},
        ),
        ([("early", 5), ("early", 5), ("base", 20)], {"made-made": {5: "run0", 20: "run2"}, "made-made-2": {5: "run1"}}),
        ([("x", None), ("y", None)], {"made-made-in-order": {0: "run0", 1: "run1"}}),
        ([("x", None), ("y", 0)], {"made-made-in-order": {0: "run0"}, "made-made": {0: "run1"}}),
    ],
)
def test_a_training_is_a_curve_with_one_point_per_step(pair, generators, found):
    assert writers.trainings(heads(open_source(pair), *generators)) == found


def test_steps_of_runs_that_record_none_are_given(pair, tmp_path):
    bare = []
    for run in pair:
        shutil.copytree(run, tmp_path / run.name)
        copy = RunFolder(tmp_path / run.name)
        copy.update_head(generator=copy.head.generator.model_copy(update={"training_steps": None}))
        bare.append(tmp_path / run.name)
    args = ["report", *map(str, bare), "--tensorboard", str(tmp_path / "logs")]
    assert CliRunner().invoke(app, [*args, "--step", "7", "--step", "9"]).exit_code == 0
    assert [run.head.generator.training_steps for run in open_source(bare, steps=[7, 9]).runs] == [7, 9]
    with pytest.raises(RunError, match="1 x --step for 2 runs; expected one for each"):
        open_source(bare, steps=[7])
    with pytest.raises(RunError, match="base-run records 500 training steps, and --step says 7"):
        open_source(pair, steps=[7, 2000])


@pytest.mark.parametrize("store", ["sqlite", "file"])
def test_mlflow_keeps_metrics_parameters_and_tags(pair, tmp_path, monkeypatch, store):
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = "sqlite:///mlflow.db" if store == "sqlite" else (tmp_path / "mlruns").as_uri()
    source = open_source(pair)
    ids = writers.to_mlflow(source, uri)
    client = MlflowClient(tracking_uri=uri)
    for run, name, steps in zip(ids, ("base-run", "new-run"), (500, 2000), strict=True):
        kept = client.get_run(run)
        for tag, value in expected(source, name).items():
            assert kept.data.metrics[tag] == pytest.approx(value)
            assert client.get_metric_history(run, tag)[0].step == steps
        assert kept.data.params["suite.fingerprint"] == "5eed"
        assert kept.data.params["git.commit"] == "c0ffee1234"
        assert (kept.data.tags["sora_eval.run"], kept.info.status) == (name, "FINISHED")
    writers.to_mlflow(source, uri)  # again: the experiment is there already
    assert [e.name for e in client.search_experiments() if e.name != "Default"] == ["made"]


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """The package as a machine without account and network has it; its files go to the temporary folder."""
    package = pytest.importorskip("wandb")
    for name, value in {"HOME": "home", "NETRC": "netrc", "WANDB_DIR": ".", "WANDB_CONFIG_DIR": "config"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    yield package
    package.teardown()


def records(file):
    """The records of a .wandb file that is whole: the package's own process may still be writing its end."""
    for _ in range(100):
        if (found := list(read_records(file))) and any(r.HasField("exit") for r in found):
            return found
        time.sleep(0.2)
    raise AssertionError(f"{file.name} has no end")


def read_records(file):
    """The records of a .wandb file: a head of 7 bytes, then the log format of LevelDB in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts = file.read_bytes(), 7, b""
    while place < len(data):
        if (rest := 32768 - place % 32768) < 7:
            place += rest
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def test_wandb_keeps_metrics_over_training_steps_and_the_facts_as_configuration(pair, wandb, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    source = open_source(pair)
    done = CliRunner().invoke(app, ["report", *map(str, pair), "--wandb", "team/videos"])
    assert done.exit_code == 0, done.output
    folders = [Path(line.removeprefix("team/videos: ")) for line in done.output.splitlines()]
    for folder, name, steps in zip(folders, ("base-run", "new-run"), (500, 2000), strict=True):
        (file,) = folder.glob("*.wandb")
        rows = records(file)
        (run,) = [r.run for r in rows if r.HasField("run")]
        assert (run.entity, run.project, run.display_name, run.host) == ("team", "videos", name, "")
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert config["suite"]["fingerprint"] == "5eed"
        assert config["git"]["commit"] == "c0ffee1234"
        (history,) = [r.history for r in rows if r.HasField("history")]
        logged = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in history.item}
        assert logged["training_steps"] == steps
        values = expected(source, name)
        assert {tag: logged[tag] for tag in values} == pytest.approx(values)
        assert "speed/latency/32x32x9" in logged
        assert [r.metric.step_metric for r in rows if r.HasField("metric") and r.metric.glob_name == "*"] == ["training_steps"]
        assert [r.exit.exit_code for r in rows if r.HasField("exit")] == [0]


def test_export_logs_in_the_project_that_wandbs_own_variables_name(pair, wandb, monkeypatch):
    for name, value in {"WANDB_MODE": "offline", "WANDB_ENTITY": "team", "WANDB_PROJECT": "videos"}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["export", str(pair[0]), "--to", "wandb"])
    assert done.exit_code == 0, done.output
    (file,) = Path(done.output.strip()).glob("*.wandb")
    (run,) = [r.run for r in records(file) if r.HasField("run")]
    assert (run.entity, run.project, run.display_name) == ("team", "videos", "base-run")


@pytest.mark.parametrize(
    ("project", "environment", "message"),
    [
        ("videos", {}, "use 'wandb login', or WANDB_MODE=offline"),
        ("videos", {"WANDB_API_KEY": "0" * 40}, "connection refused; use 'wandb login', or WANDB_MODE=offline"),
        ("videos", {"WANDB_MODE": "disabled"}, "WANDB_MODE is disabled, so nothing is logged"),
        ("a/b/c", {}, "'a/b/c': expected PROJECT or ENTITY/PROJECT"),
        ("", {}, "'': expected PROJECT or ENTITY/PROJECT"),
    ],
)
def test_wandb_without_account_or_server_is_one_message(pair, wandb, monkeypatch, project, environment, message):
    monkeypatch.setattr(writers, "PATIENCE", 1.0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=re.escape(message)) as error:
        writers.to_wandb(open_source(pair), project)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("tensorboard.summary", writers.to_tensorboard),
        ("mlflow.entities", lambda s, p: writers.to_mlflow(s, str(p))),
        ("wandb", lambda s, p: writers.to_wandb(s, "videos")),
    ],
)
def test_without_the_package_the_message_says_what_to_install(pair, tmp_path, monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RunError, match=r"pip install 'sora_eval\["):
        call(open_source(pair), tmp_path)


def test_a_database_without_its_packages_says_what_to_install(pair, monkeypatch):
    monkeypatch.setattr(writers, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"a database needs sqlalchemy and alembic: pip install 'sora_eval\[mlflow\]'"):
        writers.to_mlflow(open_source(pair), "sqlite:///mlflow.db")


def test_a_server_that_is_not_there_is_one_message(pair, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with pytest.raises(RunError, match="expected sqlite:///FILE"):
        writers.to_mlflow(open_source(pair), "http://127.0.0.1:9")
