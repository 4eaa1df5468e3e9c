"""Comparisons are paired by case, and silent about nothing."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.compare.comparison import compare
from sora_eval.compare.difference import difference
from sora_eval.compare.run_data import data_of
from sora_eval.compare.slices import slice_rows
from sora_eval.gate import baseline
from sora_eval.gate.judge import gate
from sora_eval.pipeline import run as evaluate
from sora_eval.records.verdict import Verdict
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.stats.distances import frechet_distance
from sora_eval.suite import Gate, load_suite
from sora_eval.util.errors import BaselineError, RunError
from sora_eval_reports import frames, source
from sora_eval_reports.export import report
from sora_eval_reports.frames import comparison_frame as frame_of
from sora_eval_reports.page.page import render
from sora_eval_reports.text import tables
from sora_eval_reports.text.console import console
from tests.runs import edit, make_data, make_run, reopened


@pytest.fixture
def runs(workspace):
    suite = load_suite("small.toml")
    return [evaluate.run(suite, f"python:my_generator:{n}", evaluate.Path("runs")) for n in ("generate", "noisy", "broken")]


def rows(comparison):
    return {r["metric"]: r for r in frame_of(comparison).to_dict("records") if r["slice"] == "all"}


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
    assert all(r["better"] == "" for r in frame_of(comparison).to_dict("records"))
    (words,) = [w for w in comparison.warnings if "both" in w]
    assert words.startswith("both generators have the same fingerprint; it does not cover files that its code reads")
    assert "noise" not in words


def test_the_same_weights_are_said_only_where_they_are_known():
    def words(base, new):
        heads = [{"generator": {"spec": "s", "name": "n", "checkpoint": "", "fingerprint": "w", **g}} for g in (base, new)]
        pair = [make_data({"m": [1.0, 2.0]}, ["a", "b"], **head) for head in heads]
        return [w for w in compare(*pair).warnings if "same" in w]

    known, unknown = {}, {"not_covered": "checkpoint files"}
    assert words(known, known) == ["both runs have the same generator and weights: every difference is noise or settings"]
    for pair in ((known, unknown), (unknown, known), (unknown, unknown)):
        assert words(*pair) == [
            "both generators have the same fingerprint; it does not cover checkpoint files: differences may come from there"
        ]
    assert words(known, {"fingerprint": "v"}) == []


def test_what_is_missing_or_unlike_is_named(runs, workspace):
    comparison = compare(runs[0], runs[2])
    assert any("failed cases of 16" in w for w in comparison.warnings)
    assert "cases failed in new" in rows(comparison)["temporal_flickering"]["note"]
    text = (workspace / "small.toml").read_text().replace("[metrics.clip_score]", "[metrics.clip_score]\nframes = 2")
    (workspace / "other.toml").write_text(text)
    other = evaluate.run(load_suite("other.toml"), "python:my_generator:generate", evaluate.Path("runs"))
    unlike = compare(runs[0], other)
    assert any("different suites" in w for w in unlike.warnings)
    assert rows(unlike)["clip_score"]["note"].startswith("not comparable")
    assert rows(unlike)["clip_score"]["change"] is None or pd.isna(rows(unlike)["clip_score"]["change"])


def test_a_run_without_metrics_is_compared_as_far_as_it_can_be(runs):
    runs[0].update_head(files={})
    (runs[0].path / "metrics.jsonl").unlink()
    comparison = compare(runs[0], runs[1])
    assert set(frame_of(comparison)["status"]) == {"NO_BASELINE"}
    assert any("base: the run has no metrics" in w for w in comparison.warnings)
    assert frame_of(compare(runs[0], runs[0])).empty
    assert not tables.comparison_table(comparison).empty


def test_speed_of_two_jobs_shows_values_and_no_test(runs):
    latency = frame_of(compare(runs[0], runs[1])).set_index("metric").loc["latency"]
    assert latency["status"] == "NOT_COMPARABLE"
    assert "not interleaved" in latency["note"]
    assert latency["base"] > 0
    assert latency["new"] > 0
    assert pd.isna(latency["change"])


def test_slices_by_shape_length_and_tag_for_scores_and_sets(tmp_path, rng):
    vectors, real = rng.standard_normal((2, 24, 5))
    values = np.arange(24.0)
    a = make_run(tmp_path / "a", {"m": values}, {"fvd": vectors}, reference=real)
    b = make_run(tmp_path / "b", {"m": values + np.tile([0.0, 1.0], 12)}, {"fvd": vectors + 1}, reference=real)
    table = frame_of(compare(a, b, slices=True)).set_index(["metric", "slice"])
    labels = ["all", "32x32x9", "40x24x9", "even", "odd"]
    assert list(table.loc["m"].index) == labels == list(table.loc["fvd"].index)
    assert table.loc[("m", "32x32x9"), "change"] == 0
    assert table.loc[("m", "40x24x9"), "change"] == 1
    assert list(table.loc["m"]["n"]) == [24, 12, 12, 12, 12]
    for label, own in (("32x32x9", slice(0, None, 2)), ("all", slice(None))):
        expected = [frechet_distance(x[own].astype(np.float32), real[own].astype(np.float32)) for x in (vectors, vectors + 1)]
        assert table.loc[("fvd", label), "base"] == pytest.approx(expected[0], rel=1e-6)
        assert table.loc[("fvd", label), "new"] == pytest.approx(expected[1], rel=1e-6)
    assert set(frame_of(compare(a, b))["slice"]) == {"all"}


def test_rates_report_counts_and_use_mcnemar_where_prompts_have_one_case(tmp_path):
    base, new = np.ones(24), np.r_[np.zeros(6), np.ones(18)]
    a, b = (make_run(tmp_path / n, {"m": v}) for n, v in (("a", base), ("b", new)))
    whole = difference(data_of(a), data_of(b), "m")
    assert whole.note == "6 cases are 1 in base only, 0 in new only"
    assert "McNemar" not in whole.interval.method  # two shapes a prompt are no two draws
    one = difference(data_of(a), data_of(b), "m", "32x32x9")
    assert "McNemar" in one.interval.method
    assert one.p == pytest.approx(2 / 2**3)


def test_frames_are_tidy_and_reports_hold_every_table(runs, tmp_path):
    data = frames.load(runs)
    for name, columns in frames.SCHEMA.items():
        frame = getattr(data, name)
        assert list(frame.columns[: len(columns)]) == list(columns)
        # Shares in a distance are of set metrics, and this suite has none.
        assert set(frame["run"]) == (set() if name == "attribution" else {r.path.name for r in runs})
    assert len(data.samples) == 48
    files = report.write_report(source.open_source([r.path for r in runs]), tmp_path / "report", clips=3)
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
    assert list(frame_of(compare(runs[0], runs[1])).columns) == list(frames.COMPARISON)


def test_markdown_escapes_bars_and_terminals_show_no_markup():
    table = pd.DataFrame({"metric": ["a|b"], "value": ["[bold]1"]})
    assert "a\\|b" in tables.markdown(table)
    out = console()
    with out.capture() as capture:
        out.print(tables.terminal(table, "t"))
    assert "[bold]1" in capture.get()


def test_damaged_and_foreign_runs_are_named(runs, tmp_path):
    with pytest.raises(RunError, match=r"is not a run folder: it has no run.json"):
        RunFolder.open(tmp_path)
    head = runs[0].head
    runs[0].write_head(head.model_copy(update={"schema_version": 99}))
    with pytest.raises(RunError, match="schema version 99, but this sora_eval reads 1 to 3"):
        RunFolder.open(runs[0].path)
    (runs[0].path / "run.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        RunFolder.open(runs[0].path)
    (runs[1].path / "scores.jsonl").write_text("{\n" + json.dumps({}) + "\n")
    with pytest.raises(RunError, match=r"scores.jsonl:1 is damaged"):
        runs[1].rows(ScoreRow)


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


def asked(run, texts):
    """The same run, whose prompts p00, p01, ... have these texts."""
    edit(run, SampleRow, lambda r: {**r, "prompt": texts[int(r["prompt_id"][1:])]})
    return run


@given(texts=st.lists(st.text("ab ", min_size=0, max_size=2), min_size=6, max_size=6), others=st.data())
def test_prompts_of_other_text_are_named_and_counted_and_unknown_text_is_not_compared(texts, others):
    changed = others.draw(st.lists(st.text("ab ", max_size=2), min_size=6, max_size=6))
    ids = [f"p{i}" for i in range(6)]
    data = []
    for side in (texts, changed):
        made = make_data({"m": np.arange(6.0)}, ids)
        samples = {i: s.model_copy(update={"prompt": side[int(s.prompt_id[1:])]}) for i, s in made.samples.items()}
        data.append(replace(made, samples=samples))
    known = [i for i, (a, b) in enumerate(zip(texts, changed, strict=True)) if a.strip() and b.strip()]
    wrong = [i for i in known if texts[i] != changed[i]]
    row = difference(*data, "m")
    assert (row.status is Verdict.NOT_COMPARABLE) == bool(wrong)
    if wrong:
        assert row.reason.startswith(f"prompts: {len(wrong)} of {len(known)} ids have another text, first p{wrong[0]}: ")
        assert row.change is None


def test_no_pair_of_runs_is_made_of_other_prompts(tmp_path):
    """compare, its slices, the gate, a merged baseline and the report; the baseline file says what was asked."""
    gates, texts = {"m": Gate(max_decrease=5.0)}, ["a cat", "a dog", "a cow"]
    runs = [make_run(tmp_path / n, {"m": np.arange(6.0)}, prompts=3, gates=gates) for n in "abc"]
    asked(runs[0], texts)
    asked(runs[1], texts)
    asked(runs[2], ["a cat", "a bird", "a fish"])
    reason = "prompts: 2 of 3 ids have another text, first p01: 'a dog' against 'a bird'"
    path = baseline.promote(runs[:1], tmp_path / "b.json")
    first, same, other = map(reopened, runs)
    assert [s.prompt for s in baseline.read(path).samples.values()] == [s.prompt for s in first.samples.values()]
    assert baseline.read(path).clusters == first.clusters
    for base in (first, baseline.read(path)):
        assert {r.status for r in compare(base, same, slices=True).rows} == {None}
        assert {r.reason for r in compare(base, other, slices=True).rows} == {reason}
        verdict = gate(other, base, gates).rows[0]
        assert (verdict.verdict, verdict.reason) == (Verdict.NOT_COMPARABLE, reason)
    assert slice_rows(first, same)
    assert slice_rows(first, other) == []
    with pytest.raises(BaselineError, match=f"cannot be one baseline: {reason}"):
        baseline.promote(runs[2:], path, add=True)
    report_of = source.open_source([run.path for run in runs])
    assert [run.name for run, _ in report_of.compared] == ["b"]
    assert report_of.refused == [f"c is not compared: {reason}"]
    page = render(report_of, 6)
    assert "another prompt has this id in the run: a bird" in page


def test_a_baseline_that_does_not_know_its_prompts_says_so(tmp_path):
    run = asked(make_run(tmp_path / "a", {"m": np.arange(6.0)}, prompts=3), ["a cat", "a dog", "a cow"])
    bare = make_run(tmp_path / "b", {"m": np.arange(6.0)}, prompts=3)
    words = "base holds no text of any prompt: that both were asked the same is not checked"
    assert words in compare(bare, run).warnings
    assert not any("holds no text" in w for pair in ((run, run), (bare, bare)) for w in compare(*pair).warnings)
    assert compare(bare, run).rows[0].status is None
