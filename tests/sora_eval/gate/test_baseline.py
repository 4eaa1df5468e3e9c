"""A baseline is exact, whole, and says clearly why a run or a file is neither."""

import json

import numpy as np
import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.gate import baseline
from sora_eval.gate.judge import gate
from sora_eval.records.verdict import Verdict
from sora_eval.runs.head import GitState, SuiteId
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.suite import Gate
from sora_eval.util.errors import BaselineError, RunError
from sora_eval.util.sealed import sealed, unsealed
from tests.conftest import ROOT
from tests.runs import make_run, reopened

GATES = {"m": Gate(max_decrease=5.0), "fvd": Gate(max_increase=5.0)}


OLD = ROOT / "tests" / "data" / "baseline-schema-1.json"


@pytest.fixture
def run(tmp_path, rng):
    scores = [*rng.standard_normal(23), "undefined: nothing falls"]
    features, reference = rng.standard_normal((2, 24, 7))
    made = {"fvd": features, "kvd": features}
    return make_run(tmp_path / "run", {"m": scores}, made, reference=reference, seconds={"32x32x9": [1.0, 2.0]})


@pytest.fixture
def path(run, tmp_path):
    return baseline.promote([run], tmp_path / "here/b.json", profile="desk")


def test_a_baseline_says_what_its_run_says_to_the_last_digit(run, path):
    side, kept = data_of(run), baseline.read(path)
    assert kept.scores["m"].keys() == side.scores["m"].keys()
    for case, row in side.scores["m"].items():
        assert kept.scores["m"][case].value == row.value
        assert kept.scores["m"][case].status == row.status
    np.testing.assert_array_equal(kept.features["fvd"][1], side.features["fvd"][1])
    assert kept.metrics == side.metrics
    assert kept.profile == "desk"
    assert [r.seconds for r in kept.timings] == [1.0, 2.0]
    assert gate(run, kept, GATES).rows == gate(run, run, GATES).rows
    assert gate(run, kept, GATES).verdict is Verdict.PASS


def test_a_name_that_leads_out_of_the_folder_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaselineError, match=r"profile '../desk'; expected 1 to 200 letters"):
        baseline.promote([run], profile="../desk")
    head = unsealed(json.loads((run.path / "run.json").read_text()))
    (run.path / "run.json").write_text(json.dumps(sealed({**head, "suite": {**head["suite"], "id": "../escaped"}})))
    with pytest.raises(RunError, match=r"run.json is damaged: suite.id: .*expected 1 to 200 letters.*found '../escaped'"):
        baseline.promote([run])


def test_metrics_share_their_features(path):
    assert len(json.loads(path.read_text())["vectors"]) == 1


def test_a_baseline_of_64_cases_stays_below_a_megabyte(tmp_path, rng):
    many = {f"m{i}": rng.standard_normal(64) for i in range(30)}
    vectors = rng.standard_normal((64, 400))
    run = make_run(tmp_path / "big", many, {"fvd": vectors, "kvd": vectors}, prompts=32, reference=vectors)
    assert baseline.promote([run], tmp_path / "big.json").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"git": GitState(commit="c", dirty=True)}, "a dirty tree"),
        ({"partial": True, "limit": 3}, "the run is partial: --limit 3"),
        ({"status": "started"}, "has status 'started'"),
    ],
)
def test_runs_that_must_not_be_promoted(run, tmp_path, changes, words):
    run.update_head(**changes)
    with pytest.raises(BaselineError, match=words):
        baseline.promote([run], tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


def test_errored_samples_and_metrics_are_not_promoted(run, tmp_path):
    rows = run.rows(SampleRow)
    run.replace(SampleRow, [rows[0].model_copy(update={"status": "error", "error": "lost"}), *rows[1:]])
    with pytest.raises(BaselineError, match="1 of 24 cases failed, for example p00/32x32x9/0"):
        baseline.promote([run], tmp_path / "b.json")
    run.replace(SampleRow, rows)
    scores = run.rows(ScoreRow)
    run.replace(ScoreRow, [scores[0].model_copy(update={"value": None, "status": "error", "reason": "x"}), *scores[1:]])
    with pytest.raises(BaselineError, match="metrics failed: m"):
        baseline.promote([run], tmp_path / "b.json")


def test_a_run_that_lacks_scores_is_not_promoted(run, tmp_path):
    """Half of its rows say nothing of the others, whatever its status."""
    scores, samples = run.rows(ScoreRow), run.rows(SampleRow)
    run.replace(ScoreRow, scores[:9])
    with pytest.raises(BaselineError, match="m has scores of 9 of 24 cases, and none of p04/40x24x9/0; score it again"):
        baseline.promote([run], tmp_path / "b.json")
    run.replace(ScoreRow, scores)
    vectors = run.load_features("kvd")
    run.save_features("kvd", vectors["ids"].tolist()[1:], vectors["values"][1:])
    with pytest.raises(BaselineError, match="kvd has scores of 23 of 24 cases, and none of p00/32x32x9/0"):
        baseline.promote([run], tmp_path / "b.json")
    run.save_features("kvd", vectors["ids"].tolist(), vectors["values"])
    run.update_head(cases=24)
    run.replace(SampleRow, samples[1:])
    with pytest.raises(BaselineError, match=r"samples.jsonl has 23 of 24 cases"):
        baseline.promote([run], tmp_path / "b.json")
    run.replace(SampleRow, samples)
    assert baseline.promote([run], tmp_path / "b.json").exists()


def test_overwriting_needs_force_and_another_suite_is_never_overwritten(run, path):
    with pytest.raises(BaselineError, match="exists; look at the differences above, then promote with --force"):
        baseline.promote([run], path)
    assert baseline.promote([run], path, force=True) == path
    run.update_head(suite=SuiteId(id="made", version=2, fingerprint="beef"))
    with pytest.raises(BaselineError, match=r"is of another suite: made version 1 .* this run of made version 2 \(beef\)"):
        baseline.promote([run], path, force=True)


def test_a_baseline_of_another_suite_is_not_comparable(run, path):
    run.update_head(suite=SuiteId(id="other", version=1, fingerprint="beef"))
    row = gate(reopened(run), baseline.read(path), {"m": GATES["m"]}).rows[0]
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert row.reason == "suite.id: made against other"


def test_older_schemas_are_upgraded_and_newer_ones_refused(path, monkeypatch):
    now = baseline.SCHEMA_VERSION
    monkeypatch.setattr(baseline, "SCHEMA_VERSION", now + 2)
    monkeypatch.setitem(baseline.UPGRADES, now, lambda data: {**data, "profile": data["profile"] + "-once"})
    monkeypatch.setitem(baseline.UPGRADES, now + 1, lambda data: {**data, "profile": data["profile"] + "-twice"})
    assert baseline.read(path).profile == "desk-once-twice"
    monkeypatch.setattr(baseline, "SCHEMA_VERSION", 1)
    with pytest.raises(BaselineError, match=f"schema version {now}, but this sora_eval reads up to 1; update it"):
        baseline.read(path)


def test_a_committed_baseline_of_schema_1_is_read_in_todays_words():
    """Written by the version that still said floor and steps: the shipped one of suite `gate`."""
    data = baseline.read(OLD)
    assert data.head.schema_version == 3
    assert data.head.generator.label == "reference:base"
    assert data.metrics["fvd", "all"].statistic == SetStatistic(kind="frechet", ddof=1)
    assert data.metrics["fvd", "all"].declared == "fvd"
    assert data.metrics["physics_laws.permanence", "all"].family == "physics"
    assert len(data.samples) == 64
    assert all(len(rows) == 64 for rows in data.scores.values())


DAMAGE = [
    (lambda text: text[: len(text) // 2], "is damaged"),
    (lambda text: "", "is damaged"),
    (lambda text: "[]", "is not a baseline: it has no schema_version"),
    (lambda text: "{}", "is not a baseline: it has no schema_version"),
    (
        lambda text: text.replace(f'"schema_version": {baseline.SCHEMA_VERSION}', '"schema_version": 0'),
        "is damaged: KeyError: 0",
    ),
    (lambda text: text.replace('"cases"', '"case"'), "is damaged: KeyError: 'cases'"),
    (lambda text: text.replace('"zlib": "', '"zlib": "!'), "is damaged"),
    (lambda text: text.replace('"shape": [24, 7]', '"shape": [24, 1e12]'), "vectors of shape"),
    (lambda text: text.replace('"shape": [24, 7]', '"shape": [24, 8]'), "vectors of another length than 768 bytes"),
    (
        lambda text: text.replace('"shape": [24, 7]', '"shape": [12, 14]'),
        r"vectors of shape \(12, 14\) and type float32 for 24 cases",
    ),
    (lambda text: text.replace('"hardware"', '"hard"'), "is damaged: hard: extra inputs are not permitted"),
    (lambda text: text.replace('"values": [', '"values": [0.5, '), "25 values for 24 cases"),
    (lambda text: text.replace('"value": 1.0', '"value": NaN'), "a metric's value is not finite"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
def test_damaged_files_are_one_message(path, damage, words):
    text = damage(path.read_text())
    path.write_text(text)
    if '"digest"' in text and text.endswith("}\n"):
        # What was changed is noticed whatever it is; what a forger would write with a fitting digest is checked too.
        with pytest.raises(BaselineError, match=r"it is not what was written|KeyError: 0"):
            baseline.read(path)
        path.write_text(json.dumps(sealed({k: v for k, v in json.loads(text).items() if k != "digest"})))
    with pytest.raises(BaselineError, match=words) as error:
        baseline.read(path)
    assert str(path) in str(error.value)


def test_a_baseline_is_named_by_file_folder_or_run(run, path, tmp_path, monkeypatch):
    named = baseline.promote([run], path.parent / "made.desk.json", profile="desk")
    assert baseline.find(named).path == str(named)
    assert baseline.find(path.parent, "made", "desk").path == str(named)
    assert baseline.find(path.parent, "made", None) is None
    assert baseline.find(run.path).kind == "run"
    monkeypatch.chdir(tmp_path)
    assert baseline.find(baseline.FOLDER, "made") is None
    with pytest.raises(BaselineError, match="does not exist; make it with"):
        baseline.find(tmp_path / "gone.json")
    with pytest.raises(BaselineError, match="neither a baseline file"):
        baseline.find(tmp_path / "gone")
