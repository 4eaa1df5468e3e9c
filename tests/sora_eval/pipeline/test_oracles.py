"""A run shows, beside its own physics, what generators that cannot do better have on the same cases."""

import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import SuiteError
from sora_eval_reports import frames
from sora_eval_reports.text import tables


@pytest.fixture
def run(workspace):
    text = (workspace / "small.toml").read_text().replace("[metrics.clip_score]\n", "").split("[throughput]")[0]
    (workspace / "oracles.toml").write_text(
        text.replace("[axes]", '[oracles]\ngenerators = ["world", "python:my_generator:noisy", "vae:gone"]\n\n[axes]')
    )
    return evaluate.run(load_suite("oracles.toml"), "python:my_generator:noisy", evaluate.Path("runs"))


def rows_of(run, label):
    return {r.metric: r for r in run.rows(MetricRow) if r.slice == label}


def test_oracles_are_rows_with_value_n_and_interval(run):
    own, oracle, world = (rows_of(run, s) for s in ("all", "oracle:python:my_generator:noisy", "oracle:world"))
    assert set(world) == {m for m in own if m.startswith("physics_laws.")}
    for metric in world:
        # The same generator as an oracle has the value of the run itself: same cases, same seeds.
        assert oracle[metric].model_copy(update={"slice": "all"}) == own[metric]
        assert world[metric].signature == own[metric].signature
    assert world["physics_laws.permanence"].value == 1.0
    assert world["physics_laws.permanence"].n_scored == 16
    assert any(own[metric].value < world[metric].value for metric in world)
    kept = list((run.path / "clips").iterdir())
    assert len(kept) == 16  # the run's own only


def test_an_oracle_that_cannot_be_opened_is_error_rows(run):
    world, gone = rows_of(run, "oracle:world"), rows_of(run, "oracle:vae:gone")
    assert gone.keys() == world.keys()
    assert {(r.status, r.value, "gone" in r.reason) for r in gone.values()} == {("error", None, True)}
    assert run.head.failed_metrics == len(gone)


def test_oracles_stand_beside_the_value(run):
    data = frames.load([run])
    table = tables.quality_table(data).set_index("metric")
    assert table.loc["physics_laws.permanence", "oracle:world"] == "1"
    assert table.loc["temporal_flickering", "oracle:world"] == "-"
    assert not tables.quality_table(data, slices=True)["slice"].str.startswith("oracle:").any()
    notes = [n for n in tables.notes(data) if n.startswith("oracle:")]
    assert "physics_laws.permanence 0.6306 .. 1 (n 16/16)" in notes[0]
    assert notes[2].startswith("oracle:vae:gone: ")


def test_a_run_that_was_killed_goes_on_with_its_oracles(run):
    whole, path = run.rows(MetricRow), run.path / "oracles.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    run.update_head(status="started", files={})
    (run.path / "metrics.jsonl").unlink()
    path.write_text("".join(lines[: 6 * 5]) + '{"oracle": "torn')
    resumed = evaluate.resume(RunFolder.open(run.path))
    assert path.read_text().splitlines(keepends=True) == lines
    assert resumed.rows(MetricRow) == whole


def test_oracles_do_not_change_what_a_suite_asks_and_need_prompts(workspace, run):
    text = (workspace / "oracles.toml").read_text()
    (workspace / "none.toml").write_text(text.replace(text[text.index("[oracles]") : text.index("[axes]")], ""))
    assert load_suite("none.toml").fingerprint == load_suite("oracles.toml").fingerprint
    (workspace / "bare.toml").write_text('[suite]\nid = "x"\n[oracles]\ngenerators = ["world"]\n[metrics.point_laws]\n')
    with pytest.raises(SuiteError, match=r"\[oracles\] answer the suite's own prompts"):
        load_suite("bare.toml")
    (workspace / "typo.toml").write_text(text.replace("generators =", "generator ="))
    with pytest.raises(SuiteError, match="did you mean 'generators'"):
        load_suite("typo.toml")
