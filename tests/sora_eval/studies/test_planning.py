"""The chances of the model are those of simulated gates, and the cheapest way is cheap and enough."""

import numpy as np
import pytest

from sora_eval.gate.judge import gate
from sora_eval.records.verdict import Verdict
from sora_eval.stats.cluster_means import difference_bounds
from sora_eval.stats.components import Components
from sora_eval.studies.planning import Design, GateModel, Goal, PlannedRow, cheapest, remedies
from sora_eval.suite import Gate
from tests.runs import make_data

PRESENT = Design(32, 4, 2, places=2)
DESIGNS = [Design(n, held, asked, 2) for n in (16, 32, 64, 128) for held in (1, 4, 8) for asked in (1, 2, 8)]
GOAL = Goal()


def row(name, limit, seed=1.0, checkpoint=0.0, **ends):
    """A row of seed noise `seed` and what a checkpoint changes by prompt, both standard deviations."""
    parts = Components(10.0, 4.0, seed**2, seed**2, checkpoint**2)
    return PlannedRow(name, parts, **{"increase": limit, "decrease": np.inf, **ends})


def model_of(*rows, correlation=0.0):
    n = len(rows)
    return GateModel(rows, np.full((n, n), correlation) + (1 - correlation) * np.eye(n))


@pytest.mark.parametrize(("prompts", "pair"), [(16, (1, 1)), (32, (4, 2)), (64, (2, 1))])
def test_pass_is_as_likely_as_the_bounds_of_simulated_changes_say(prompts, pair):
    rng, limit = np.random.default_rng(prompts), 0.5
    names = [f"p{i}" for i in range(prompts)]
    deviation = (1 / pair[0] + 1 / pair[1]) ** 0.5
    simulated = [difference_bounds(deviation * rng.standard_normal(prompts), names, 0.05).high <= limit for _ in range(500)]
    chance = model_of(row("m", limit)).chances(Design(prompts, *pair)).passing["m"]
    assert chance == pytest.approx(np.mean(simulated), abs=0.07)  # 3 standard errors of 500 draws


def test_the_whole_gate_is_as_likely_to_pass_and_to_find_as_simulated_ones_are(monkeypatch):
    monkeypatch.setattr("sora_eval.gate.judge.SWAP_PERMUTATIONS", 999)
    prompts, deviation, correlation = 20, 0.06, 0.8
    rng, names = np.random.default_rng(0), [f"p{i}" for i in range(prompts)]
    gates, counts = {m: Gate(max_increase=5) for m in ("a", "b")}, {"same": [], "worse": []}
    for _ in range(120):
        for change, verdicts in counts.items():
            noise = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], (2, prompts)) * deviation
            base, new = ({m: 1 + noise[side, :, j] for j, m in enumerate(gates)} for side in range(2))
            if change == "worse":
                new["a"] = new["a"] + 0.075  # one and a half limits
            verdicts.append(gate(make_data(new, names), make_data(base, names), gates).verdict)
    rows = [row(m, 0.05, deviation) for m in gates]
    chances = model_of(*rows, correlation=correlation).chances(Design(prompts, 1, 1))
    green = np.mean([v in (Verdict.PASS, Verdict.IMPROVED) for v in counts["same"]])
    assert chances.whole == pytest.approx(green, abs=0.13)  # 3 standard errors of 120 draws
    found = np.mean([v is Verdict.REGRESSED for v in counts["worse"]])
    assert chances.whole_regressed["a", 1.5] == pytest.approx(found, abs=0.13)


def test_at_its_limit_a_row_is_found_half_the_time_and_passes_at_the_level():
    model = model_of(row("m", 1.0))
    assert model.chances(PRESENT).regressed["m", 1.0] == pytest.approx(0.5, abs=0.03)
    at_limit = model.chances(PRESENT, np.array([[0.0, np.inf]])).passing["m"]  # no change, and a limit of 0
    assert 0.02 <= at_limit <= 0.06


def test_more_prompts_seeds_and_wider_limits_pass_more_often():
    model = model_of(row("a", 0.4), row("b", 0.5, checkpoint=0.5))
    whole = {d: model.chances(d, changes=()).whole for d in DESIGNS}
    for few, many in ((Design(16, 4, 2, 2), PRESENT), (Design(32, 1, 2, 2), PRESENT), (Design(32, 4, 1, 2), PRESENT)):
        assert whole[few] < whole[many]
    assert model.chances(PRESENT, 1.5 * model.limits).whole > whole[PRESENT]
    assert model.without("b").chances(PRESENT).whole > whole[PRESENT]


def test_needed_limits_are_passed_in_the_share_and_wide_ones_stay():
    model = model_of(row("a", 0.1), row("b", 9.0), row("c", 0.2, decrease=0.3), correlation=0.5)
    limits = model.needed_limits(PRESENT, 0.9)
    assert 0.9 <= model.chances(PRESENT, limits).whole <= 0.91
    assert limits[1].tolist() == [9.0, np.inf]
    assert (limits >= model.limits).all()
    wide = model_of(row("a", 9.0))
    assert wide.needed_limits(PRESENT, 0.9).tolist() == [[9.0, np.inf]]


def test_the_cheapest_design_meets_the_goal_and_no_cheaper_one_does():
    model = model_of(row("a", 0.4), row("b", 0.5), correlation=0.5)
    design, limits = cheapest(model, DESIGNS, GOAL)
    assert np.array_equal(limits, model.limits)
    assert GOAL.met(model.chances(design))
    assert not any(GOAL.met(model.chances(d)) for d in DESIGNS if d.cost < design.cost)
    wider, wide = cheapest(model, DESIGNS, GOAL, widen=True)
    assert wider.clips <= design.clips
    assert GOAL.met(model.chances(wider, wide))  # twice the old limit is still found
    assert cheapest(model_of(row("a", 0.01)), DESIGNS, GOAL) is None


def test_every_row_has_its_own_remedy():
    rows = [row("quiet", 1.0, 0.1), row("near", 0.5), row("noisy", 0.38), row("fickle", 0.5, checkpoint=1.0), row("lost", 0.01)]
    found = {r.row: r for r in remedies(model_of(*rows), PRESENT, DESIGNS, GOAL)}
    assert {name: r.cheapest for name, r in found.items()} == {
        "quiet": "none needed",
        "near": "wider limit",
        "noisy": "more seeds",
        "fickle": "more prompts",  # no seed tells what a checkpoint changes from prompt to prompt
        "lost": "drop the row",
    }
    assert found["near"].limit > 1
    assert (found["fickle"].seeds, found["fickle"].limit) == (None, None)
    assert (found["lost"].prompts, found["lost"].seeds, found["lost"].limit) == (None, None, None)
    assert found["quiet"].without == pytest.approx(model_of(*rows[1:]).chances(PRESENT).whole, abs=0.02)


def test_a_row_without_noise_always_passes_and_is_always_found():
    chances = model_of(row("exact", 0.1, 0.0)).chances(PRESENT)
    assert chances.passing["exact"] == chances.regressed["exact", 1.5] == 1
