"""A series of gates has one budget of false alarms, and sees a decline that no single gate sees."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.compare.prompt_changes import prompt_changes
from sora_eval.compare.run_data import data_of
from sora_eval.gate.gate_run import earlier_runs
from sora_eval.gate.judge import gate
from sora_eval.gate.series import declines, in_series, level_of, spent, within_budget
from sora_eval.records.verdict import FILE, GateResult, Verdict
from sora_eval.runs.folder import RunFolder
from sora_eval.suite import Gate
from sora_eval.util.errors import RunError
from sora_eval_reports.export import junit
from tests.commands import sora_eval
from tests.runs import make_data, make_run

PROMPTS = [f"p{i:02d}" for i in range(24)]
GATES = {"m": Gate(max_increase=10.0)}
HARD = np.random.default_rng(0).normal(10, 2, len(PROMPTS))


def run_of(number, shift=0.0, spread=0.5, **head):
    """Run `number` of one checkpoint under seeds of its own: its prompts are hard in their own way, its seeds add noise."""
    noise = np.random.default_rng([1, number]).normal(shift, spread, len(PROMPTS))
    return make_data({"m": HARD + noise}, PROMPTS, run=f"run-{number}", **head)


BASE = run_of(0)


@given(st.integers(1, 10_000), st.integers(1, 1000), st.floats(1e-4, 0.5))
def test_the_levels_of_any_number_of_runs_add_up_to_less_than_half_of_alpha(runs, horizon, alpha):
    assert 0 < level_of(runs, horizon, alpha) <= level_of(1, horizon, alpha)
    assert sum(level_of(i, horizon, alpha) for i in range(1, min(runs, 300) + 1)) <= alpha / 2
    assert spent(runs, horizon, alpha) < alpha / 2
    assert spent(horizon, horizon, alpha) == pytest.approx(alpha / 4)


def test_what_is_enough_for_one_gate_is_not_enough_for_one_of_a_series_and_a_collapse_is():
    results = {}
    for name, new in {
        "close": run_of(3, 1.1, spread=1.6),
        "closer": run_of(54, 1.3, spread=1.8),
        "far": run_of(4, 4.0),
    }.items():
        single = gate(new, BASE, GATES)
        assert single.verdict is Verdict.REGRESSED
        results[name] = within_budget(single, new, BASE, GATES, 50)
    assert results["far"].verdict is Verdict.REGRESSED
    assert "in the series, p = " in results["far"].rows[0].reason
    for name in ("close", "closer"):
        assert results[name].verdict is Verdict.INCONCLUSIVE
        assert "enough for one gate, not for one of a series" in results[name].rows[0].reason
    assert "run 50 of its series" in results["close"].headline


def test_pass_keeps_its_level():
    new = run_of(5)
    single = gate(new, BASE, GATES)
    assert single.verdict is Verdict.PASS
    judged = in_series(single, new, BASE, GATES, [run_of(6), run_of(7)])
    assert judged.rows == single.rows
    assert judged.exit_code == 0
    assert judged.headline == "gate: PASS (1 gate); run 3 of its series, at the level 0.00024"


FALLING = [run_of(10 + t, 0.13 * t, started=f"2026-01-{t + 1:02d}") for t in range(8)]


def test_a_slow_decline_has_a_row_of_its_own_before_a_single_gate_calls_it():
    singles = [gate(new, BASE, GATES) for new in FALLING]
    assert Verdict.REGRESSED not in [s.verdict for s in singles]
    judged = in_series(singles[-1], FALLING[-1], BASE, GATES, FALLING[:-1], horizon=20)
    row = judged.rows[-1]
    assert (judged.verdict, judged.exit_code) == (Verdict.REGRESSED, 10)
    assert (row.metric, row.verdict) == ("m", Verdict.REGRESSED)
    assert row.name == f"m over {row.series} runs"
    window = FALLING[-row.series :]
    changes = [np.mean(list(prompt_changes(BASE, r, "m").values())) for r in window]
    assert row.change == pytest.approx(np.mean(changes))
    assert f"declines since run {window[0].run_id}: {row.change:+.3g}" in row.reason
    assert GateResult.from_json(judged.to_json()) == judged
    assert [c.attrib["name"] for c in junit.element(judged).iter("testcase")][-1].startswith("m over ")


def test_a_decline_that_was_repaired_ends_and_one_below_half_of_the_limit_is_none():
    repaired = declines(BASE, [*FALLING, run_of(20)], GATES, horizon=20)
    assert repaired[-2]
    assert not repaired[-1]
    assert not declines(BASE, FALLING, {"m": Gate(max_increase=10.0, min_change=3.0)}, horizon=20)[-1]
    assert not declines(BASE, FALLING, {"m": Gate(max_decrease=10.0)}, horizon=20)[-1]  # an increase is no harm to it


def test_the_same_clips_again_and_again_are_no_more_evidence_than_once():
    """Eight runs of the same clips have the noise of one: whoever takes them for independent finds a decline in most series."""
    tight = {"m": Gate(max_increase=0.01)}
    alarms = sum(bool(declines(BASE, [run_of(100 + i)] * 8, tight, flips=499)[-1]) for i in range(60))
    assert alarms <= 4  # 0.2 % is spent after eight runs


def test_runs_of_other_suites_or_protocols_have_no_changes():
    other = run_of(1, suite={"id": "made", "version": 2, "fingerprint": "f00d"})
    assert prompt_changes(BASE, other, "m") == {}
    assert prompt_changes(BASE, run_of(1), "gone") == {}
    assert prompt_changes(BASE, BASE, "m") == dict.fromkeys(PROMPTS, 0.0)
    rows = {k: r.model_copy(update={"signature": "other"}) for k, r in BASE.metrics.items()}
    assert prompt_changes(BASE, replace(run_of(1), metrics=rows), "m") == {}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A baseline and eight runs that decline, oldest first, none of them REGRESSED by itself."""
    monkeypatch.chdir(tmp_path)
    hard = np.repeat(HARD, 2)
    for t in range(-1, 8):
        values = hard + np.random.default_rng([2, t + 1]).normal(max(0, 0.13 * t), 0.5, len(hard))
        name = "base" if t < 0 else f"r{t}"
        started = f"2026-01-{t + 2:02d}T00:00:00Z"
        make_run(tmp_path / "runs" / name, {"m": values}, prompts=24, higher=False, gates=GATES, started=started)
    return tmp_path


def test_the_command_judges_a_run_as_the_next_of_its_folder(folder):
    for t in range(7):
        done = sora_eval("gate", f"r{t}", "-b", "runs/base", "--series", "runs", "--horizon", "20")
        assert done.returncode in (0, 10), done.stderr
        assert f"run {t + 1} of its series" in done.stdout.splitlines()[-1]
    last = sora_eval("gate", "r7", "-b", "runs/base", "--series", "runs", "--horizon", "20")
    assert last.returncode == 10, last.stdout
    assert "declines since run r" in last.stdout
    written = GateResult.read(folder / "runs/r7")
    assert written.series.startswith("run 8 of its series")
    assert written.rows[-1].series >= 2
    shown = sora_eval("history", "runs", "-m", "m", "--png", "h.png")
    assert "r7: gate: REGRESSED" in shown.stdout, shown.stderr
    assert "run 8 of its series" in shown.stdout
    assert "m over " in shown.stdout
    gone = sora_eval("gate", "r7", "-b", "runs/base", "--series", "elsewhere")
    assert gone.returncode == 2
    assert "--series elsewhere is no folder" in gone.stderr


def test_the_series_are_earlier_runs_that_were_gated_against_the_same_baseline(folder):
    runs = {name: RunFolder(folder / "runs" / name) for name in ("base", "r0", "r1", "r2", "r3", "r4")}
    base, other = (gate(runs["r0"], runs[b], GATES) for b in ("base", "r1"))
    for name, result in {"r3": base, "r0": base, "r2": other, "r4": base}.items():
        runs[name].save_json(FILE, result.to_json())
    found = earlier_runs(folder / "runs", runs["r4"], data_of(runs["base"]))
    assert [r.run_id for r in found] == ["r0", "r3"]  # r1 was not gated, r2 against another baseline, r4 is the run itself
    (folder / "runs/r3" / FILE).write_text("{")
    with pytest.raises(RunError, match="damaged"):
        earlier_runs(folder / "runs", runs["r4"], data_of(runs["base"]))
