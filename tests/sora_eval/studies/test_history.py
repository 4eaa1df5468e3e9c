"""History: what lies within the noise of repeats, and where that noise is from."""

import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from sora_eval.gate.baseline import promote
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.studies.history import default_metrics, histories, history, noise, read_runs
from sora_eval.util.errors import RunError
from tests.runs import drawn_run, edit


@pytest.fixture
def root(tmp_path):
    """Three repeats of one checkpoint under other seeds, and a later one that is far better."""
    for i in range(3):
        drawn_run(tmp_path, f"early-{i}", steps=500, seed_offset=i * 100_003, clips=False, commit=f"aaaa{i}")
    drawn_run(tmp_path, "late", checkpoint="late", steps=2000, shift=8.0, seed=5, clips=False, commit="bbbb")
    return tmp_path


def runs_of(root):
    runs, problems = read_runs(root)
    assert not problems
    return runs


def marks(chart):
    return [p.mark for p in chart.points]


def test_the_band_is_that_of_repeats_under_other_seeds(root):
    runs = runs_of(root)
    values = [r.row("clip_score", "all").value for r in runs if r.path.name.startswith("early")]
    band = noise(runs, "clip_score")
    assert math.isclose(band.deviation, float(np.std(values, ddof=1)))
    assert band.freedom == 2
    # The difference of two repeats has sqrt(2) their standard deviation.
    assert math.isclose(band.reach, stats.t.ppf(0.975, 2) * band.deviation * math.sqrt(2))


def test_the_same_seeds_show_no_noise(tmp_path):
    for i in range(2):
        drawn_run(tmp_path, f"r{i}", clips=False)
    assert noise(runs_of(tmp_path), "clip_score") is None
    assert noise(runs_of(tmp_path), "latency", "32x32x9") is not None  # speed differs with the same seeds


def test_speed_says_its_noise_within_and_between_sessions(tmp_path):
    rng, within, sessions = np.random.default_rng(0), 0.01, (-0.05, 0.03, -0.01, 0.01, -0.03, 0.05)
    for i, session in enumerate(sessions):
        run = drawn_run(tmp_path, f"r{i}", clips=False, timings=20, seed=i)
        edit(run, TimingRow, lambda r, s=session: {**r, "seconds": math.exp(s + within * rng.standard_normal())})
    drawn_run(tmp_path, "other", checkpoint="late", clips=False)  # another checkpoint has no part in it
    note = next(n for n in history(runs_of(tmp_path), "latency", "time", label="32x32x9").notes if "sessions" in n)
    assert note.startswith("6 sessions on one machine: 1 % within a session, ")
    percent = float(re.search(r"in the gate: sessions = { runs = 6, percent = ([0-9.]+) }", note)[1])
    assert percent == pytest.approx(100 * np.std(sessions, ddof=1), abs=0.4)
    assert not any("sessions" in n for n in history(runs_of(tmp_path), "clip_score", "time").notes)


def test_without_repeats_it_is_what_the_gate_records(tmp_path):
    run = drawn_run(tmp_path, "r", clips=False)
    gate = {"max_decrease": 5.0, "repeats": {"runs": 5, "cases": 64, "mean": 88.6, "sd": 0.41}}
    stored = json.loads((run.path / "suite.json").read_text())
    stored["declared"]["gates"] = {"clip_score": gate}
    (run.path / "suite.json").write_text(json.dumps(stored))
    runs = runs_of(tmp_path)
    band = noise(runs, "clip_score")
    assert (band.deviation, band.freedom) == (0.41, 4)
    assert default_metrics(runs) == ["clip_score"]
    assert noise(runs, "warping_error") is None


def test_without_gates_the_first_metric_of_each_family_is_drawn(root):
    assert default_metrics(runs_of(root)) == ["clip_score", "warping_error", "physics_laws.permanence"]


def test_points_are_ordered_and_marked(root):
    chart = history(runs_of(root), "clip_score", "steps")
    assert [(p.x, p.place) for p in chart.points] == [("500", 500.0)] * 3 + [("2000", 2000.0)]
    assert marks(chart) == ["within noise"] * 3 + ["better"]
    assert marks(history(runs_of(root), "warping_error", "time"))[-1] == "better"  # lower is better


def test_runs_without_steps_are_left_out_of_their_axis(root):
    drawn_run(root, "unknown", checkpoint="unknown", seed=7, clips=False)
    chart = history(runs_of(root), "clip_score", "steps")
    assert len(chart.points) == 4
    assert "1 runs without steps are left out" in chart.notes
    assert histories(root).charts[0].axis == "time"  # not every run has steps


def test_commits_stand_in_order_of_time_and_share_a_place(root):
    drawn_run(root, "late-again", checkpoint="late", shift=8.0, seed=6, clips=False, commit="bbbb")
    chart = history(runs_of(root), "clip_score", "commit")
    assert [p.x for p in chart.points] == ["aaaa0", "aaaa1", "aaaa2", "bbbb", "bbbb"]
    assert [p.place for p in chart.points] == [0, 1, 2, 3, 3]


def test_the_baseline_is_a_file_or_a_run(root, tmp_path):
    file = promote([RunFolder.open(root / "early-1")], tmp_path / "base.json")
    value = next(r.value for r in RunFolder.open(root / "early-1").rows(MetricRow) if r.metric == "clip_score")
    assert history(runs_of(root), "clip_score", "time", file).baseline == value
    late = history(runs_of(root), "clip_score", "time", root / "late")
    assert marks(late) == ["worse"] * 3 + ["within noise"]
    alone = drawn_run(tmp_path / "elsewhere", "alone", clips=False, metrics={"clip_score": ("1", True)})
    assert history(runs_of(root), "clip_score", "time", alone.path).baseline is not None
    with pytest.raises(RunError, match="has no value of warping_error"):
        history(runs_of(root), "warping_error", "time", alone.path)


def test_what_is_missing_and_unlike_is_said(root):
    run = drawn_run(root, "other-protocol", seed=9, clips=False)
    run.replace(MetricRow, [r.model_copy(update={"signature": "other"}) for r in run.rows(MetricRow)])
    drawn_run(root, "without", metrics={"fvd": ("1", False)}, seed=10, clips=False)
    chart = history(runs_of(root), "clip_score", "time")
    assert any("2 protocols" in n for n in chart.notes)
    assert marks(chart)[-1] == "not in this run"
    with pytest.raises(RunError, match="no run has 'nonsense'"):
        history(runs_of(root), "nonsense", "time")


def test_one_suite_is_drawn_and_runs_that_cannot_be_read_are_named(root):
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text("{")
    drawn = histories(root, ["clip_score"])
    assert (drawn.suite, [c.axis for c in drawn.charts]) == ("made", ["steps"])
    assert "broken" in drawn.problems[0]
    with pytest.raises(RunError, match="no finished runs of suite 'other'"):
        histories(root, suite="other")
    with pytest.raises(RunError, match="holds no runs that can be read"):
        histories(root / "late")
