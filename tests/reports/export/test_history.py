"""History: what lies within the noise of repeats, and where that noise is from."""

import json
import math

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from reports.export.history import history, metrics_of, noise, terminal_table
from reports.source import open_source
from sora_eval.cli import app
from sora_eval.runs.rows import MetricRow
from sora_eval.util.errors import RunError
from tests.runs import drawn_run


def value_of(run, metric="clip_score"):
    return next(r.value for r in run.rows(MetricRow) if r.metric == metric)


@pytest.fixture
def root(tmp_path):
    """Three repeats of one checkpoint under other seeds, and a later one that is far better."""
    for i in range(3):
        drawn_run(tmp_path, f"early-{i}", steps=500, seed_offset=i * 100_003, clips=False, commit=f"aaaa{i}")
    drawn_run(tmp_path, "late", checkpoint="late", steps=2000, shift=8.0, seed=5, clips=False, commit="bbbb")
    return tmp_path


def source_of(root):
    return open_source(sorted(p.parent for p in root.glob("*/run.json")))


def test_the_band_is_that_of_repeats_under_other_seeds(root):
    source = source_of(root)
    values = [value_of(r) for r in source.runs if r.path.name.startswith("early")]
    found = noise(source.runs, "clip_score")
    assert math.isclose(found.deviation, float(np.std(values, ddof=1)))
    assert found.freedom == 2
    # The difference of two repeats has sqrt(2) their standard deviation.
    assert math.isclose(found.reach, stats.t.ppf(0.975, 2) * found.deviation * math.sqrt(2))


def test_the_same_seeds_show_no_noise(tmp_path):
    for i in range(2):
        drawn_run(tmp_path, f"r{i}", clips=False)
    assert noise(source_of(tmp_path).runs, "clip_score") is None
    assert noise(source_of(tmp_path).runs, "latency", "32x32x9") is not None  # speed differs with the same seeds


def test_without_repeats_it_is_read_from_the_gates_provenance(tmp_path):
    run = drawn_run(tmp_path, "r", clips=False)
    gates = {"clip_score": {"max_decrease": 5.0, "provenance": "5 repeats of 64 cases: mean 88.6, sd 0.41 (0.46 %)"}}
    (run.path / "suite.json").write_text(json.dumps({"declared": {"gates": gates}, "prompts": []}))
    source = source_of(tmp_path)
    found = noise(source.runs, "clip_score")
    assert (found.deviation, found.freedom) == (0.41, 4)
    assert metrics_of(source) == ["clip_score"]
    assert noise(source.runs, "warping_error") is None


def test_points_are_ordered_and_marked(root):
    found = history(source_of(root), "clip_score", "steps")
    assert found.points["x"].tolist() == [500, 500, 500, 2000]
    assert found.points["mark"].tolist() == ["within noise"] * 3 + ["better"]
    assert terminal_table(found)["noise"].tolist()[-1] == "better"
    fell = history(source_of(root), "warping_error", "time")
    assert fell.points["mark"].tolist()[-1] == "better"  # lower is better


def test_commits_stand_in_order_of_time_and_share_a_place(root):
    drawn_run(root, "late-again", checkpoint="late", shift=8.0, seed=6, clips=False, commit="bbbb")
    found = history(source_of(root), "clip_score", "commit")
    assert found.points["x"].tolist() == ["aaaa0", "aaaa1", "aaaa2", "bbbb", "bbbb"]
    assert found.points["place"].tolist() == [0, 1, 2, 3, 3]


def test_the_baseline_is_a_file_or_a_run(root, tmp_path):
    file = tmp_path / "base.json"
    file.write_text(json.dumps({"metrics": [{"metric": "clip_score", "slice": "all", "value": 3.0}]}))
    assert history(source_of(root), "clip_score", "time", file).baseline == 3.0
    late = history(source_of(root), "clip_score", "time", root / "late")
    assert late.points["mark"].tolist() == ["worse"] * 3 + ["within noise"]
    with pytest.raises(RunError, match="has no value of warping_error"):
        history(source_of(root), "warping_error", "time", file)


def test_what_is_missing_and_unlike_is_said(root):
    run = drawn_run(root, "other-protocol", seed=9, clips=False)
    run.replace(MetricRow, [r | {"signature": "other", "status": "ok"} for r in run.rows(MetricRow)])
    empty = drawn_run(root, "without", metrics={"fvd": ("1", False)}, seed=10, clips=False)
    assert empty
    found = history(source_of(root), "clip_score", "time")
    assert any("2 protocols" in n for n in found.notes)
    assert found.points["mark"].tolist()[-1] == "not in this run"
    with pytest.raises(RunError, match="no run has 'nonsense'"):
        history(source_of(root), "nonsense", "time")


def test_the_verb_draws_and_prints(root, tmp_path):
    picture = tmp_path / "h.png"
    done = CliRunner().invoke(app, ["history", str(root), "-m", "clip_score", "--png", str(picture)])
    assert done.exit_code == 0, done.output
    assert "within noise" in done.output
    assert picture.read_bytes()[:4] == b"\x89PNG"
    (root / "nothing").mkdir()
    assert "holds no runs" in str(CliRunner().invoke(app, ["history", str(root / "nothing")]).exception)
