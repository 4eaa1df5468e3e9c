"""Virtual runs are made of the pool's own clips; rates count what the gate said; the table goes between its markers."""

from functools import reduce

import numpy as np
import pytest

from reports.text.error_rates import BEGIN, END, page_block, sees, table, write_between
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.records.verdict import Verdict
from sora_eval.studies.error_rates import SIGNIFICANT, WHOLE, Rates, compose, draw, error_rates
from sora_eval.suite import Gate
from sora_eval.util.errors import RunError, SuiteError
from tests.runs import make_data, make_run

PROMPTS = [f"p{i:02d}" for i in range(16)]
GATES = {"flicker": Gate(max_increase=5, floor=0.02, reason="a test")}


def repeats(count: int, shift: float = 0.0) -> list[RunData]:
    """Runs of one checkpoint: a prompt has a difficulty of its own, seeds add noise."""
    hard = np.random.default_rng(0).normal(1, 0.3, len(PROMPTS))
    noise = [np.random.default_rng([1 + int(100 * shift), k]).normal(shift, 0.1, len(PROMPTS)) for k in range(count)]
    return [make_data({"flicker": hard + n}, PROMPTS) for n in noise]


def whole(base, new, draws=40, **options) -> Rates:
    return reduce(Rates.joined, error_rates("arm", base, new, GATES, draws, **options))


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
        assert made.scores["m"][case]["value"] == chosen[row["prompt_id"]]
    ids, vectors = made.features["fvd"]
    assert [v[0] for v in vectors] == [chosen[i.split("/")[0]] for i in ids]


def test_two_draws_of_one_checkpoint_share_no_clip():
    pool = repeats(3)
    a, b = draw(pool, None, np.random.default_rng(5))
    same = [a.scores["flicker"][i]["value"] == b.scores["flicker"][i]["value"] for i in a.samples]
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


def test_the_table_goes_between_the_markers_and_nowhere_else(tmp_path):
    rates = [whole(repeats(3), None, 10)]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between(page, page_block(rates, "a command", "A pool."))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "`a command`" in text
    assert f"{rates[0].rate(WHOLE)[0]:.1%}".replace("%", " %") in text
    assert table(rates, Verdict.PASS)["draws"].tolist() == [10]
    (tmp_path / "bare.md").write_text("no markers")
    with pytest.raises(RunError, match="markers"):
        write_between(tmp_path / "bare.md", "text")
