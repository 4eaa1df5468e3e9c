"""Limits follow from repeats: the repeats pass them, and a suite file keeps everything else."""

from dataclasses import replace

import numpy as np
import pytest

from reports.text.calibration import spread_table
from sora_eval.gate.judge import gate
from sora_eval.runs.rows import SampleRow
from sora_eval.studies.calibrate import calibrate
from sora_eval.studies.calibration import Calibration, passing, propose, spreads
from sora_eval.studies.repeats import STEP, repeat
from sora_eval.suite import Gate, load_suite
from sora_eval.suite.editing import write_gates
from sora_eval.util.errors import SuiteError
from tests.commands import sora_eval
from tests.runs import make_data, make_run

PROMPTS = [f"p{i // 2:02d}" for i in range(24)]


@pytest.fixture
def repeats():
    draw = np.random.default_rng(0)
    level = np.repeat(draw.standard_normal(12), 2) + 20
    return [
        make_data({"m": level + draw.standard_normal(24), "zero": draw.standard_normal(24)}, PROMPTS, seed_offset=k)
        for k in range(5)
    ]


def test_repeats_pass_the_limits_that_they_propose(repeats):
    found = {s.metric: s for s in spreads(repeats)}
    assert found["m"].deviation == pytest.approx(np.std([s.metrics[("m", "all")].value for s in repeats], ddof=1))
    for spread in found.values():
        proposed = propose(spread)
        assert len(spread.pairs) == 20
        assert passing(spread, proposed) >= 19  # 95 % of 20
        assert proposed.max_increase is not None
        assert proposed.max_decrease is None  # lower is better
    m = propose(found["m"])
    assert 0 < m.max_increase < 10
    verdicts = [gate(b, a, {"m": m}, other_seeds=True).verdict for a in repeats for b in repeats if a is not b]
    assert verdicts.count("PASS") + verdicts.count("IMPROVED") >= 19
    assert propose(found["zero"]).max_increase == 0  # around 0 a percentage means nothing; min_change has to hold the noise
    assert propose(found["zero"]).min_change > 0


def test_a_present_gate_keeps_its_direction_and_words(repeats):
    spread = spreads(repeats)[0]
    kept = propose(spread, Gate(max_decrease=1.0, window=[1.0, 2.0], reason="words"))
    assert kept.max_increase is None
    assert kept.max_decrease > 1.0
    assert (kept.window, kept.reason) == ([1.0, 2.0], "words")
    both = propose(spread, Gate(max_increase=1.0, max_decrease=1.0))
    assert both.max_increase > 0
    assert both.max_decrease > 0


def test_the_table_says_what_would_be_seen(repeats):
    measured = {s.metric: s for s in spreads(repeats)}
    gates = {m: propose(s) for m, s in measured.items()}
    table = spread_table(Calibration(load_suite("gate"), "made", 5, measured, gates, ("m",), "a test"))
    assert list(table["metric"]) == ["m *", "zero"]
    assert float(table["detectable %"][0]) > float(table["sd %"][0])


def test_repeats_that_are_none_are_named(repeats, tmp_path):
    with pytest.raises(SuiteError, match="1 repeat has no spread"):
        spreads(repeats[:1])
    with pytest.raises(SuiteError, match="must differ in their seeds"):
        spreads([repeats[0], repeats[0]])
    other = make_run(
        tmp_path / "r", {"m": np.arange(24.0)}, seed_offset=9, generator={"name": "x", "checkpoint": "", "fingerprint": "w2"}
    )
    from sora_eval.compare.run_data import data_of

    with pytest.raises(SuiteError, match="must be of one checkpoint"):
        spreads([repeats[0], data_of(other)])
    partial = replace(repeats[1], head=repeats[1].head.model_copy(update={"partial": True}))
    with pytest.raises(SuiteError, match="is not a repeat: the run is partial"):
        spreads([repeats[0], partial])


def test_calibrate_generates_what_is_missing_and_writes_limits_with_their_provenance(workspace):
    path, out = workspace / "small.toml", workspace / "runs"
    path.write_text(path.read_text() + "\n# why\n[gates.clip_score] # keep me\nmax_decrease = 1\nreason = 'words'\n")
    before, text = load_suite(path), path.read_text()
    proposed = calibrate(before, "python:my_generator:noisy", 2, out)
    assert (proposed.repeats, proposed.gated, proposed.unmeasured) == (2, ("clip_score",), ())
    assert path.read_text() == text
    names = sorted(p.name for p in out.iterdir())
    shown = sora_eval("calibrate", "small.toml", *(f"--run={out / name}" for name in names))
    assert shown.returncode == 0, shown.stderr
    assert "nothing was written" in shown.stdout
    written = calibrate(before, "python:my_generator:noisy", 2, out, metrics=["physics_laws.permanence"], write=True)
    assert sorted(p.name for p in out.iterdir()) == names  # nothing is made twice
    after, text = load_suite(path), path.read_text()
    assert after.gates == written.limits
    assert "# why\n[gates.clip_score] # keep me" in text
    assert '[gates."physics_laws.permanence"]' in text
    assert after.fingerprint == before.fingerprint
    assert after.gates["clip_score"].reason == "words"
    assert "sora-eval calibrate small -g python:my_generator:noisy --repeats 2" in after.gates["clip_score"].provenance
    assert (after.gates["clip_score"].repeats.runs, after.gates["clip_score"].repeats.cases) == (2, 16)
    with pytest.raises(SuiteError, match="no spread of fvd"):
        calibrate(after, "python:my_generator:noisy", 2, out, metrics=["fvd"], write=True)


def test_nothing_to_write_is_said_before_anything_runs(tmp_path):
    with pytest.raises(SuiteError, match="choose a few metrics with --metric"):
        calibrate(load_suite("world"), "reference", 2, tmp_path / "runs", write=True)
    assert not (tmp_path / "runs").exists()


def test_other_seeds_give_other_clips_of_the_same_cases(workspace):
    suite = load_suite("small.toml")
    a, b = repeat(suite, "python:my_generator:generate", 2, workspace / "runs")
    first, second = ({r.id: r.sha256 for r in run.rows(SampleRow)} for run in (a, b))
    assert first.keys() == second.keys()
    assert all(first[i] != second[i] for i in first)
    assert [r.head.seed_offset for r in (a, b)] == [0, STEP]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(SuiteError, match="cannot be written"):
        write_gates(tmp_path / "gone.toml", {})
