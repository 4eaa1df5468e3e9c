"""The page of scale: measured on a few cases, its targets, and a simulation that agrees with what queues must do."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.pages import scale, scale_stages
from docs.pages.scale_driver import DriverCost, driver_cost
from docs.pages.scale_material import LAYOUTS, write_suite
from docs.pages.scale_simulation import Times, simulate
from docs.pages.scale_stages import STAGES, Measured, measured
from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import RunError
from sora_eval_reports.text.tables import markdown

COSTS = [DriverCost(1, 1000, 0.003, 1e-5, 0.001), DriverCost(1000, 1000, 0.002, 1e-3, 0.001)]


def rows(small=0.002, large=0.002, *, peak=1_000_000_000, size=2_000_000):
    """Both sizes of one layout at so many seconds a case."""
    facts = [(cases, each * cases) for cases, each in ((scale.SMALL, small), (scale.LARGE, large))]
    return [Measured("seeds", n, 0, "run", stage, s, s, peak, 0, size) for n, s in facts for stage in STAGES]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_suite_has_so_many_cases(layout, tmp_path):
    suite = load_suite(write_suite(tmp_path, 40, layout))
    assert len(suite.cases) == len({case.id for case in suite.cases}) == 40
    assert len(suite.metrics) == 5


def test_a_short_run_measures_every_stage_and_the_driver(tmp_path, monkeypatch):
    """In this process, where each command has one of its own, which starts slowly."""
    monkeypatch.setattr(scale_stages, "_in_process", lambda command, *job: command(*job))
    page, folder = tmp_path / "scale.md", tmp_path / "runs"
    for _ in range(2):  # the second time nothing is measured again
        scale.main(page, folder, [20], ["seeds"], 1, [1, 3])
    found = measured(folder / "measured.jsonl")
    assert [m.stage for m in found] == [*STAGES[:4], *STAGES[:4], *STAGES[4:]]
    assert all(m.seconds > 0 and m.peak >= m.before > 0 for m in found)
    assert found[-1].size > 100_000
    text = page.read_text()
    assert "`python -m docs.pages.scale`" in text
    assert "not measured" in text
    assert str(tmp_path) not in text
    # The run that the driver wrote has the rows of the one whose answers it was given.
    made, again = find_runs(folder / "seeds-20-0" / "runs")[0], find_runs(folder / "driver")[-1]
    assert again.rows(ScoreRow) == made.rows(ScoreRow)
    assert [r.sha256 for r in again.rows(SampleRow)] == [r.sha256 for r in made.rows(SampleRow)]
    assert driver_cost(made, tmp_path / "more", 2).busy > 0


def test_what_cannot_be_measured_is_one_message(tmp_path):
    with pytest.raises(RunError, match="multiple of 10"):
        scale.main(tmp_path / "page.md", tmp_path, [15], None, 1, None)
    with pytest.raises(RunError, match="expected one of: seeds, prompts"):
        scale.main(tmp_path / "page.md", tmp_path, [20], ["odd"], 1, None)


def test_targets_are_met_missed_or_not_measured():
    verdicts = {t.verdict for t in scale.targets(rows(large=0.001))}
    assert verdicts == {"met", "MISSED: 5.00 times the target"}  # planning takes 10 s
    assert scale.targets(rows(large=0.0001))[0].verdict == "met"
    slow = {t.what: t for t in scale.targets(rows(large=0.004, peak=1_600_000_000, size=30_000_000))}
    assert slow["its size"].verdict.startswith("MISSED: 1.20 ")
    assert slow["memory of the driver, any command"].verdict.startswith("MISSED")
    assert slow["compare and gate"].value == pytest.approx(80)
    gate = slow["time per case at 10,000 / at 1,000: gate"]
    assert gate.value == gate.processor == pytest.approx(2)
    assert gate.verdict == "MISSED: 1.54 times the target by wall time; by processor time MISSED"
    assert replace(gate, processor=1.1, gap="do less").verdict.endswith("by processor time met; do less")
    assert {t.verdict for t in scale.targets([r for r in rows() if r.cases < scale.LARGE])} == {"not measured"}
    assert {t.verdict for t in scale.targets([])} == {"not measured"}


def test_what_grows_faster_is_said_with_its_power():
    assert "no stage grows faster" in scale.growth(rows(), "seeds")
    slower = [replace(r, processor=2 * r.processor) if (r.stage, r.cases) == ("gate", 10_000) else r for r in rows()]
    assert "faster than the cases: gate (as cases^1.30)." in scale.growth(slower, "seeds")
    assert "not both measured" in scale.growth([], "seeds")


def test_the_page_has_a_table_of_each_part():
    text = scale.render(rows(), COSTS)
    for part in (scale.stage_table(rows(), "seeds", [1000, 10_000]), scale.driver_table(COSTS)):
        assert markdown(part) in text
    assert "500 generators at 1 s a clip" in text
    assert json.dumps(text)


@given(
    workers=st.integers(1, 40),
    times=st.builds(Times, *[st.floats(0.001, 2.0)] * 2, *[st.sampled_from([0.0, 1e-4, 0.003, 0.05])] * 2),
)
@settings(max_examples=30, deadline=None)
def test_a_simulation_keeps_the_laws_of_queues(workers, times):
    found = simulate(workers, workers, times, 400)
    most = [workers / times.generate / 0.8, workers / times.score / 0.8]
    most += [1 / (2 * times.answer)] if times.answer else []
    assert found.clips_per_second <= min(most) * (1 + 1e-9)
    assert 0 <= found.driver <= 1 + 1e-9
    assert 0 < found.generators <= 1 + 1e-9
    assert found.driver >= found.clips_per_second * 2 * times.answer * (1 - 1e-9)  # the law of utilisation


def test_more_workers_help_until_the_driver_is_full():
    times = Times(generate=1.0, score=0.01, answer=0.001, wake=0.0001)
    rates = [simulate(n, n, times, 20 * n).clips_per_second for n in (10, 100, 1000)]
    assert rates[0] == pytest.approx(10, rel=0.1)
    assert rates[1] == pytest.approx(100, rel=0.15)
    assert rates[2] == pytest.approx(500, rel=0.1)  # 1 / 2 ms
