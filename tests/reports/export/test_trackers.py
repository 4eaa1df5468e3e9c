"""What TensorBoard and MLflow hold afterwards is what the run holds."""

import sys

import pytest
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.util.errors import RunError
from sora_eval_reports.export import trackers as writers
from sora_eval_reports.source import open_source


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
    for run, steps in (("base-run", 500), ("new-run", 2000)):
        events = EventAccumulator(str(tmp_path / "logs" / run))
        events.Reload()
        for tag, value in expected(source, run).items():
            (event,) = events.Tensors(tag)
            assert event.step == steps
            assert make_ndarray(event.tensor_proto).item() == pytest.approx(value, rel=1e-6)
        assert "speed/latency/32x32x9" in events.Tags()["tensors"]


def test_mlflow_keeps_metrics_parameters_and_tags(pair, tmp_path):
    from mlflow.tracking import MlflowClient

    uri = (tmp_path / "mlruns").as_uri()
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


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("tensorboard.summary", writers.to_tensorboard),
        ("mlflow.entities", lambda s, p: writers.to_mlflow(s, str(p))),
    ],
)
def test_without_the_package_the_message_says_what_to_install(pair, tmp_path, monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RunError, match=r"pip install 'sora_eval\["):
        call(open_source(pair), tmp_path)


def test_a_server_that_is_not_there_is_one_message(pair, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with pytest.raises(RunError, match="expected file:FOLDER"):
        writers.to_mlflow(open_source(pair), "http://127.0.0.1:9")
