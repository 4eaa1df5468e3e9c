"""Comparisons are paired by case, and silent about nothing."""

import json

import pandas as pd
import pytest

from reports import frames, render, tables
from sora_eval import evaluate
from sora_eval.compare import COLUMNS, compare
from sora_eval.errors import RunError
from sora_eval.runs import RunFolder
from sora_eval.suite import load_suite


@pytest.fixture
def runs(workspace):
    suite = load_suite("small.toml")
    return [evaluate.run(suite, f"python:my_generator:{n}", evaluate.Path("runs")) for n in ("generate", "noisy", "broken")]


def rows(comparison):
    return {r["metric"]: r for r in comparison.table.to_dict("records") if r["slice"] == "all"}


def test_noise_is_seen_in_the_right_direction_and_swapping_swaps_it(runs):
    forward, back = rows(compare(runs[0], runs[1])), rows(compare(runs[1], runs[0]))
    assert forward["temporal_flickering"]["better"] == "base"
    assert back["temporal_flickering"]["better"] == "new"
    assert forward["temporal_flickering"]["change"] == pytest.approx(-back["temporal_flickering"]["change"])
    assert forward["temporal_flickering"]["high"] < 0
    assert forward["temporal_flickering"]["p"] < 0.05
    assert forward["temporal_flickering"]["n"] == 16


def test_a_run_against_itself_shows_no_difference(runs):
    comparison = compare(runs[0], runs[0])
    assert all(r["better"] is None or pd.isna(r["better"]) for r in comparison.table.to_dict("records"))
    assert any("same generator and weights" in w for w in comparison.warnings)


def test_what_is_missing_or_unlike_is_named(runs, workspace):
    comparison = compare(runs[0], runs[2])
    assert any("failed cases of 16" in w for w in comparison.warnings)
    assert "have a score in one run only" in rows(comparison)["temporal_flickering"]["note"]
    text = (workspace / "small.toml").read_text().replace("[metrics.clip_score]", "[metrics.clip_score]\nframes = 2")
    (workspace / "other.toml").write_text(text)
    other = evaluate.run(load_suite("other.toml"), "python:my_generator:generate", evaluate.Path("runs"))
    unlike = compare(runs[0], other)
    assert any("different suites" in w for w in unlike.warnings)
    assert rows(unlike)["clip_score"]["note"].startswith("not comparable")
    assert rows(unlike)["clip_score"]["change"] is None or pd.isna(rows(unlike)["clip_score"]["change"])


def test_a_run_without_metrics_cannot_be_compared(runs):
    (runs[0].path / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match="has no metrics: finish it"):
        compare(runs[0], runs[1])


def test_frames_are_tidy_and_reports_hold_every_table(runs, tmp_path):
    data = frames.load(runs)
    for name, columns in frames.SCHEMA.items():
        frame = getattr(data, name)
        assert list(frame.columns[: len(columns)]) == columns
        assert set(frame["run"]) == {r.path.name for r in runs}
    assert len(data.samples) == 48
    files = render.write_report(runs, tmp_path / "report", clips=3)
    assert {f.name for f in files} == {"report.md", "clips.png"} | {
        f"{n}.{s}" for n in frames.SCHEMA for s in ("csv", "parquet")
    }
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "report/scores.parquet")[["id", "metric", "value"]], data.scores[["id", "metric", "value"]]
    )
    assert pd.read_csv(tmp_path / "report/metrics.csv")["value"].notna().sum() == data.metrics["value"].notna().sum()
    text = (tmp_path / "report/report.md").read_text()
    assert "| temporal_flickering" in text
    assert "failed cases of 16" in text
    assert list(compare(runs[0], runs[1]).table.columns) == COLUMNS


def test_markdown_escapes_bars_and_terminals_show_no_markup():
    table = pd.DataFrame({"metric": ["a|b"], "value": ["[bold]1"]})
    assert "a\\|b" in tables.markdown(table)
    console = tables.console()
    with console.capture() as capture:
        console.print(tables.terminal(table, "t"))
    assert "[bold]1" in capture.get()


def test_damaged_and_foreign_runs_are_named(runs, tmp_path):
    with pytest.raises(RunError, match=r"is not a run folder: it has no run.json"):
        RunFolder.open(tmp_path)
    head = runs[0].head
    runs[0].write_head({**head, "schema_version": 99})
    with pytest.raises(RunError, match="schema version 99, but this sora_eval reads 1"):
        RunFolder.open(runs[0].path)
    (runs[0].path / "run.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        RunFolder.open(runs[0].path)
    (runs[1].path / "scores.jsonl").write_text("{\n" + json.dumps({}) + "\n")
    with pytest.raises(RunError, match=r"scores.jsonl:1 is damaged"):
        runs[1].rows("scores")


@pytest.mark.i3d
@pytest.mark.parametrize("limit", [2, 4])
def test_set_metrics_of_few_clips_are_compared_as_far_as_they_can_be(workspace, limit):
    text = (workspace / "small.toml").read_text().split("[metrics")[0].replace("frames = [9]", "frames = [13]")
    names = ("fvd", "kvd", "precision", "recall")
    (workspace / "sets.toml").write_text(
        text + '[reference]\ngenerator = "world"\n' + "".join(f"[metrics.{n}]\n" for n in names)
    )
    suite = load_suite("sets.toml")
    pair = [evaluate.run(suite, f"python:my_generator:{n}", evaluate.Path("runs"), limit=limit) for n in ("generate", "noisy")]
    table = rows(compare(*pair))
    assert set(names) <= set(table)
    assert table["fvd"]["change"] > 0
    if limit == 2:
        assert "2 generated and 16 reference clips; at least 4 of each are needed" in table["precision"]["note"]
