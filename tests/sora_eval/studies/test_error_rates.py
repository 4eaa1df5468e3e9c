"""Virtual runs are made of the pool's own clips; rates count what the gate said."""

from functools import reduce

import numpy as np
import pytest

from reports.text.error_rates import sees, table
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.records.verdict import Verdict
from sora_eval.studies.error_rates import SIGNIFICANT, WHOLE, Rates, compose, draw, draw_rates
from sora_eval.studies.gate_errors import gate_errors
from sora_eval.suite import Gate, load_suite
from sora_eval.util.errors import GeneratorError, SuiteError
from tests.runs import make_data, make_run

PROMPTS = [f"p{i:02d}" for i in range(16)]
GATES = {"flicker": Gate(max_increase=5, min_change=0.02, reason="a test")}


def repeats(count: int, shift: float = 0.0) -> list[RunData]:
    """Runs of one checkpoint: a prompt has a difficulty of its own, seeds add noise."""
    hard = np.random.default_rng(0).normal(1, 0.3, len(PROMPTS))
    noise = [np.random.default_rng([1 + int(100 * shift), k]).normal(shift, 0.1, len(PROMPTS)) for k in range(count)]
    return [make_data({"flicker": hard + n}, PROMPTS) for n in noise]


def whole(base, new, draws=40, **options) -> Rates:
    return reduce(Rates.joined, draw_rates("arm", base, new, GATES, draws, **options))


def test_a_virtual_run_holds_each_prompts_clips_of_the_chosen_run(tmp_path):
    rng = np.random.default_rng(0)
    sides = [
        data_of(make_run(tmp_path / str(k), {"m": np.full(24, k)}, {"fvd": np.full((24, 3), k)}, reference=rng.random((9, 3))))
        for k in range(3)
    ]
    chosen = {f"p{i:02d}": i % 3 for i in range(12)}
    made = compose(sides, chosen)
    assert list(made.samples) == list(sides[0].samples)
    for case, row in made.samples.items():
        assert made.scores["m"][case].value == chosen[row.prompt_id]
    ids, vectors = made.features["fvd"]
    assert [v[0] for v in vectors] == [chosen[i.split("/")[0]] for i in ids]


def test_two_draws_of_one_checkpoint_share_no_clip():
    pool = repeats(3)
    a, b = draw(pool, None, np.random.default_rng(5))
    same = [a.scores["flicker"][i].value == b.scores["flicker"][i].value for i in a.samples]
    assert not any(same)


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
    with pytest.raises(SuiteError, match="at least 2"):
        whole(repeats(1), None)
    other = make_data({"flicker": np.ones(3)}, PROMPTS[:3])
    with pytest.raises(SuiteError, match="same cases"):
        whole(repeats(2), [other])


def test_the_table_has_a_row_per_arm():
    rates = [whole(repeats(3), None, 10)]
    assert table(rates, Verdict.PASS)["draws"].tolist() == [10]
    assert f"{rates[0].rate(WHOLE)[0]:.1%}".replace("%", " %") in table(rates)[WHOLE][0]


def test_the_procedure_makes_the_pool_once_and_gates_it(workspace):
    path = workspace / "small.toml"
    path.write_text(path.read_text() + "\n[gates.temporal_flickering]\nmax_decrease = 5\n")
    suite, pool = load_suite(path), workspace / "pool"
    options = {"repeats": 2, "others": 1, "draws": 10, "power": 10, "workers": 1}
    errors = gate_errors(suite, "python:my_generator:noisy", ["python:my_generator:generate"], pool, **options)
    assert (errors.suite, errors.cases, errors.repeats, errors.others) == ("small", 16, 2, 1)
    assert [(r.arm, r.draws) for r in errors.rates] == [
        ("python:my_generator:noisy, again", 10),
        ("python:my_generator:generate", 10),
    ]
    assert all(sum(r.counts[WHOLE].values()) == 10 for r in errors.rates)
    runs = sorted(pool.iterdir())
    assert len(runs) == 3
    assert gate_errors(suite, "python:my_generator:noisy", ["python:my_generator:generate"], pool, **options) == errors
    assert sorted(pool.iterdir()) == runs
    with pytest.raises(GeneratorError, match="'magic' is not known"):
        gate_errors(suite, "python:my_generator:noisy", ["magic"], pool, **options)
    with pytest.raises(SuiteError, match=r"no \[gates"):
        gate_errors(load_suite("videos"), pool=pool)
