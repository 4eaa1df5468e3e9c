"""A run shows, beside its own physics, what generators that cannot do better have on the same cases."""

import json

import pytest

from reports import frames
from reports.text import tables
from sora_eval.pipeline import run as evaluate
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import SuiteError


@pytest.fixture
def run(workspace):
    text = (workspace / "small.toml").read_text().replace("[metrics.clip_score]\n", "").split("[throughput]")[0]
    (workspace / "floors.toml").write_text(
        text.replace("[axes]", '[floors]\ngenerators = ["world", "python:my_generator:noisy", "vae:gone"]\n\n[axes]')
    )
    return evaluate.run(load_suite("floors.toml"), "python:my_generator:noisy", evaluate.Path("runs"))


def rows_of(run, label):
    return {r.metric: r for r in run.rows(MetricRow) if r.slice == label}


def test_floors_are_rows_with_value_n_and_interval(run):
    own, floor, world = (rows_of(run, s) for s in ("all", "floor:python:my_generator:noisy", "floor:world"))
    assert set(world) == {m for m in own if m.startswith("physics_laws.")}
    for metric in world:
        # The same generator as a floor has the value of the run itself: same cases, same seeds.
        same = {k: v for k, v in floor[metric].items() if k != "slice"}
        assert same == {k: v for k, v in own[metric].items() if k != "slice"}
        assert world[metric]["signature"] == own[metric]["signature"]
    assert world["physics_laws.permanence"]["value"] == 1.0
    assert world["physics_laws.permanence"]["n_scored"] == 16
    assert any(own[metric]["value"] < world[metric]["value"] for metric in world)
    kept = list((run.path / "clips").iterdir())
    assert len(kept) == 16  # the run's own only


def test_a_floor_that_cannot_be_opened_is_an_error_row(run):
    (row,) = [r for r in run.rows(MetricRow) if r.slice == "floor:vae:gone"]
    assert (row.status, row.value) == ("error", None)
    assert "gone" in row.reason
    assert run.head.failed_metrics == 1


def test_floors_stand_beside_the_value(run):
    data = frames.load([run])
    table = tables.quality_table(data).set_index("metric")
    assert table.loc["physics_laws.permanence", "floor:world"] == "1"
    assert table.loc["temporal_flickering", "floor:world"] == "-"
    assert not tables.quality_table(data, slices=True)["slice"].str.startswith("floor:").any()
    notes = [n for n in tables.notes(data) if n.startswith("floor:")]
    assert "physics_laws.permanence 1 .. 1 (n 16/16)" in notes[0]
    assert notes[2].startswith("floor:vae:gone: ")


def test_a_run_that_was_killed_goes_on_with_its_floors(run):
    whole, path = run.rows(MetricRow), run.path / "floors.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    (run.path / "metrics.jsonl").unlink()
    path.write_text("".join(lines[: 6 * 5]) + '{"floor": "torn')
    resumed = evaluate.resume(RunFolder.open(run.path))
    assert path.read_text().splitlines(keepends=True) == lines
    assert json.dumps(resumed.rows(MetricRow)) == json.dumps(whole)


def test_floors_do_not_change_what_a_suite_asks_and_need_prompts(workspace, run):
    text = (workspace / "floors.toml").read_text()
    (workspace / "none.toml").write_text(text.replace(text[text.index("[floors]") : text.index("[axes]")], ""))
    assert load_suite("none.toml").fingerprint == load_suite("floors.toml").fingerprint
    (workspace / "bare.toml").write_text('[suite]\nid = "x"\n[floors]\ngenerators = ["world"]\n[metrics.point_laws]\n')
    with pytest.raises(SuiteError, match=r"\[floors\] are made of the suite's own prompts"):
        load_suite("bare.toml")
    (workspace / "typo.toml").write_text(text.replace("generators =", "generator ="))
    with pytest.raises(SuiteError, match="did you mean 'generators'"):
        load_suite("typo.toml")
