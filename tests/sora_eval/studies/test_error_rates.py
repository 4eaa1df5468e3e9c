"""Virtual runs are made of the pool's own clips; rates count what the gate said."""

from functools import reduce

import numpy as np
import pytest

from sora_eval.compare.cases import place_of, seed_of
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.records.verdict import Verdict
from sora_eval.studies.error_rates import SIGNIFICANT, WHOLE, Arm, Rates, compose, draw, draw_rates, share_at_limit
from sora_eval.studies.gate_errors import gate_errors
from sora_eval.suite import Gate, load_suite
from sora_eval.util.errors import GeneratorError, SuiteError
from sora_eval_reports.text.error_rates import sees, table
from tests.runs import make_data, make_run

PROMPTS = [f"p{i:02d}" for i in range(16)]
GATES = {"flicker": Gate(max_increase=5, min_change=0.02, reason="a test")}


def repeats(count: int, shift: float = 0.0) -> list[RunData]:
    """Runs of one checkpoint: a prompt has a difficulty of its own, seeds add noise."""
    hard = np.random.default_rng(0).normal(1, 0.3, len(PROMPTS))
    noise = [np.random.default_rng([1 + int(100 * shift), k]).normal(shift, 0.1, len(PROMPTS)) for k in range(count)]
    return [make_data({"flicker": hard + n}, PROMPTS) for n in noise]


def whole(base, new, draws=40, **options) -> Rates:
    return reduce(Rates.joined, draw_rates(Arm("arm", base, new), GATES, draws, **options))


def test_a_virtual_run_holds_each_prompts_clips_of_the_chosen_run(tmp_path):
    rng = np.random.default_rng(0)
    sides = [
        data_of(make_run(tmp_path / str(k), {"m": np.full(24, k)}, {"fvd": np.full((24, 3), k)}, reference=rng.random((9, 3))))
        for k in range(3)
    ]
    chosen = {f"p{i:02d}": (i % 3, (i + 1) % 3) for i in range(12)}
    made = compose(sides, chosen, (4, 9))
    assert sorted(made.samples) == sorted(f"{place_of(i)}/{seed}" for i in sides[0].samples for seed in (4, 9))
    for case, row in made.samples.items():
        assert row.id == case
        assert made.scores["m"][case].value == chosen[row.prompt_id][seed_of(case) == "9"]
    ids, vectors = made.features["fvd"]
    assert len(ids) == 48
    assert [v[0] for v in vectors] == [chosen[i.split("/")[0]][i.endswith("/9")] for i in ids]


def test_two_draws_of_one_checkpoint_share_no_clip():
    pool = repeats(3)
    a, b = draw(pool, None, np.random.default_rng(5), (2, 1))
    values = [{(place_of(i), r.value) for i, r in side.scores["flicker"].items()} for side in (a, b)]
    assert [len(v) for v in values] == [32, 16]
    assert not values[0] & values[1]


def test_with_the_same_seeds_a_run_answers_seeds_that_the_baseline_holds():
    pool, other = repeats(4), repeats(3, 0.3)
    a, b = draw(pool, other, np.random.default_rng(5), (3, 2), same_seeds=True)
    assert set(b.samples) < set(a.samples)
    for case, row in b.scores["flicker"].items():
        (k,) = [k for k, side in enumerate(other) if row.value in {r.value for r in side.scores["flicker"].values()}]
        assert a.scores["flicker"][case].value in {r.value for r in pool[k].scores["flicker"].values()}


def test_repeats_are_seldom_regressed_and_a_worse_checkpoint_often():
    pool = repeats(5)
    again, worse = whole(pool, None), whole(pool, repeats(2, 0.3))
    assert again.draws == sum(again.counts[WHOLE].values()) == 40
    assert again.rate(WHOLE)[0] <= 0.05
    assert again.rate("flicker", SIGNIFICANT)[0] <= 0.2
    assert worse.rate("flicker")[0] >= 0.9
    assert worse.rate("flicker", SIGNIFICANT)[0] >= 0.9
    share, low, high = worse.rate(WHOLE)
    assert low <= share <= high
    assert sees([again, worse]) == ["flicker: arm", "gate: arm"]


def test_the_rates_do_not_depend_on_the_workers():
    pool = repeats(4)
    assert whole(pool, None, 25, workers=1).counts == whole(pool, None, 25, workers=2).counts


def test_a_pool_that_cannot_be_drawn_from_is_refused():
    with pytest.raises(SuiteError, match="the pool has 1 seeds of the baseline's checkpoint: 2 and 1 are needed"):
        whole(repeats(1), None)
    other = make_data({"flicker": np.ones(3)}, PROMPTS[:3])
    with pytest.raises(SuiteError, match="same cases"):
        whole(repeats(2), [other])


def test_the_table_has_a_row_per_arm():
    rates = [whole(repeats(3), None, 10)]
    assert table(rates, Verdict.PASS)["draws"].tolist() == [10]
    assert f"{rates[0].rate(WHOLE)[0]:.1%}".replace("%", " %") in table(rates)[WHOLE][0]


def test_a_share_of_worse_clips_is_a_change_of_that_share():
    pool, worse = repeats(6), repeats(3, 1.0)
    changes = []
    for i in range(60):
        a, b = draw(pool, worse, np.random.default_rng(i), (2, 2), share=0.3)
        changes.append(
            np.mean([r.value for r in b.scores["flicker"].values()]) - np.mean([r.value for r in a.scores["flicker"].values()])
        )
    assert np.mean(changes) == pytest.approx(0.3, abs=0.04)
    row, share = share_at_limit(pool, worse, GATES)
    assert (row, share) == ("flicker", pytest.approx(0.05, abs=0.01))  # 5 % of a mean of 1.0, of a change of 1.0


def test_a_true_change_of_the_limit_seldom_passes():
    """Twice the limit is found; the limit itself passes in at most 5 % of the gates, give or take 150 draws."""
    pool, worse = repeats(8), repeats(4, 0.15)
    _, share = share_at_limit(pool, worse, GATES)
    rates = {
        times: reduce(Rates.joined, draw_rates(Arm("x", pool, worse, share=times * share), GATES, 150, seeds=(4, 2)))
        for times in (1, 2.5)
    }
    assert rates[1].rate(WHOLE, Verdict.PASS)[0] <= 0.09
    assert rates[2.5].rate(WHOLE)[0] >= 0.6


def test_the_procedure_makes_the_pool_once_and_gates_it(workspace):
    path = workspace / "small.toml"
    path.write_text(path.read_text() + "\n[gates.temporal_flickering]\nmax_decrease = 5\n")
    suite, pool = load_suite(path), workspace / "pool"
    options = {"repeats": 3, "others": 1, "draws": 10, "power": 10, "workers": 1, "seeds": (2, 1)}
    options["same_seeds"] = ["python:my_generator:generate"]
    errors = gate_errors(suite, "python:my_generator:noisy", ["python:my_generator:generate"], pool, **options)
    assert (errors.suite, errors.cases, errors.seeds, errors.pool) == ("small", 16, (2, 1), 3)
    assert [(r.arm, r.draws) for r in errors.rates][:3] == [
        ("nothing changed, other seeds", 10),
        ("python:my_generator:generate, same seeds", 10),
        ("python:my_generator:generate, other seeds", 10),
    ]
    assert all(sum(r.counts[WHOLE].values()) == 10 for r in errors.rates)
    runs = sorted(pool.iterdir())
    assert len(runs) == 4
    assert gate_errors(suite, "python:my_generator:noisy", ["python:my_generator:generate"], pool, **options) == errors
    assert sorted(pool.iterdir()) == runs
    with pytest.raises(GeneratorError, match="'magic' is not known"):
        gate_errors(suite, "python:my_generator:noisy", ["magic"], pool, **options)
    with pytest.raises(SuiteError, match=r"no \[gates"):
        gate_errors(load_suite("videos"), pool=pool)
