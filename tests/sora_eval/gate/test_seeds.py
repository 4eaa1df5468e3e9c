"""Baselines of several seeds: what they hold, what they refuse, and what they decide that one seed does not."""

import numpy as np
import pytest

from sora_eval.compare.cases import place_of
from sora_eval.compare.run_data import data_of
from sora_eval.gate import baseline
from sora_eval.gate.judge import gate
from sora_eval.gate.merging import merged, seeds_of
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import Gate
from sora_eval.util.errors import BaselineError
from tests.commands import sora_eval
from tests.runs import edit, make_data, make_run

LEVEL = np.random.default_rng(0).normal(10, 1, 24)


def seeded(tmp_path, k, change=0.0, name=None, **head):
    """Run k of one checkpoint: a level per case, and noise of its own seed."""
    rng = np.random.default_rng(100 + k)
    scores, vectors = LEVEL + change + rng.normal(0, 1.0, 24), rng.standard_normal((24, 4))
    made = {"m": scores}, {"fvd": vectors + change}
    git = {"commit": "c0ffee", "dirty": False}
    return make_run(tmp_path / (name or f"s{k}"), *made, reference=np.zeros((24, 4)) + 1.0, seed_offset=k, git=git, **head)


def test_a_baseline_of_several_seeds_holds_all_of_them_and_grows(tmp_path):
    runs = [seeded(tmp_path, k) for k in range(4)]
    path = baseline.promote(runs[:3], tmp_path / "b.json")
    held = baseline.read(path)
    assert (len(held.samples), seeds_of(held), len(held.runs)) == (72, 3, 3)
    assert held.metrics["m", "all"].value == pytest.approx(np.mean([data_of(r).metrics["m", "all"].value for r in runs[:3]]))
    for k in range(3):
        for case, row in data_of(runs[k]).scores["m"].items():
            assert held.scores["m"][case].value == row.value
            assert case.endswith(f"/{k}")
    baseline.promote(runs[3:], path, add=True)
    grown = baseline.read(path)
    assert seeds_of(grown) == 4
    assert {i: r.value for i, r in held.scores["m"].items()}.items() <= {
        i: r.value for i, r in grown.scores["m"].items()
    }.items()
    ids, vectors = grown.features["fvd"]
    assert (len(ids), vectors.shape) == (96, (96, 4))


def test_one_run_merged_is_itself(tmp_path):
    data = data_of(seeded(tmp_path, 0))
    whole = merged([data])
    assert (whole.samples, whole.scores, whole.metrics) == (data.samples, data.scores, data.metrics)


def test_unlike_runs_are_no_baseline(tmp_path):
    one = seeded(tmp_path, 0)
    other = {"name": "made", "checkpoint": "other", "fingerprint": "hash-other"}
    with pytest.raises(BaselineError, match="cannot be one baseline: generator fingerprint"):
        baseline.promote([one, seeded(tmp_path, 1, generator=other)], tmp_path / "b.json")
    with pytest.raises(BaselineError, match=r"hold the case p00/.*: equal seeds .*--seed-offset"):
        baseline.promote([one, seeded(tmp_path, 0, name="again")], tmp_path / "b.json")
    changed = seeded(tmp_path, 2)
    edit(changed, MetricRow, lambda r: {**r, "signature": "m|other"} if r["metric"] == "m" else r)
    with pytest.raises(BaselineError, match=r"signature of m: m\|made against m\|other"):
        baseline.promote([one, changed], tmp_path / "b.json")
    with pytest.raises(BaselineError, match="nothing can be added"):
        baseline.promote([one], tmp_path / "b.json", add=True)


def test_the_verb_takes_several_runs(tmp_path):
    runs = [seeded(tmp_path, k) for k in range(2)]
    done = sora_eval("baseline", "promote", *(r.path for r in runs), "--to", tmp_path / "b.json")
    assert done.returncode == 0, done.stderr
    shown = sora_eval("baseline", "show", tmp_path / "b.json")
    assert "48, 2 seeds per prompt and shape" in shown.stdout
    assert "s0, s1" in shown.stdout


def sides(k_base, k_new, seed, change=0.0, shared=0, correlation=0.0):
    """A baseline and a run in memory: 16 prompts, a level per prompt, noise per seed."""
    rng = np.random.default_rng(seed)
    prompts = [f"p{i:02d}" for i in range(16)]
    level, noise = rng.normal(10, 1, (16, 1)), rng.standard_normal((2, 16, max(k_base, k_new)))
    for j in range(shared):
        noise[1, :, j] = correlation * noise[0, :, j] + np.sqrt(1 - correlation**2) * noise[1, :, j]
    base, new = level + noise[0, :, :k_base], level + noise[1, :, :k_new] + change

    def data(values):
        columns = values.shape[1]
        return make_data({"m": values.reshape(-1)}, [p for p in prompts for _ in range(columns)], higher=True)

    made = data(new)
    if not shared:
        rename = {i: f"{place_of(i)}/{int(i.rpartition('/')[2]) + 50}" for i in made.samples}
        samples = {rename[i]: r.model_copy(update={"id": rename[i]}) for i, r in made.samples.items()}
        scores = {"m": {rename[i]: r.model_copy(update={"id": rename[i]}) for i, r in made.scores["m"].items()}}
        made = type(made)(made.kind, made.path, made.head, samples, made.metrics, scores, {})
    return data(base), made


DOWN = {"m": Gate(max_decrease=7.0)}


def rate(verdict, draws=60, **options):
    found = [gate(*reversed(sides(seed=s, **options)), DOWN, strict=True).verdict for s in range(draws)]
    return np.mean([v is verdict for v in found])


def test_more_seeds_are_more_often_green_when_nothing_changed():
    assert rate(Verdict.PASS, k_base=4, k_new=2) > rate(Verdict.PASS, k_base=1, k_new=1) + 0.2


def test_seeds_that_are_shared_decide_more():
    options = {"k_base": 4, "k_new": 2, "shared": 2}
    assert rate(Verdict.PASS, correlation=0.98, **options) >= 0.98
    assert rate(Verdict.PASS, correlation=0.98, **options) >= rate(Verdict.PASS, correlation=0.0, **options)


@pytest.mark.parametrize("shared", [0, 2])
def test_a_change_of_the_limit_seldom_passes_and_a_larger_one_is_found(shared):
    """The true change is the limit (7 % of 10), then twice that."""
    options = {"k_base": 4, "k_new": 2, "shared": shared, "correlation": 0.5}
    assert rate(Verdict.PASS, draws=200, change=-0.7, **options) <= 0.07
    assert rate(Verdict.REGRESSED, change=-1.4, **options) >= 0.9


def test_the_row_says_which_seeds_were_compared():
    words = {
        (4, 2, 0): "other seeds: means of 4 and 2 a case",
        (2, 2, 2): "the same 2 seeds, paired, correlation",
        (4, 2, 2): "2 of 2 seeds are among the baseline's 4: control variate, weight",
    }
    for (k_base, k_new, shared), text in words.items():
        base, new = sides(k_base, k_new, 1, shared=shared, correlation=0.9)
        assert gate(new, base, DOWN).rows[0].seeds.startswith(text)


def test_cases_of_seeds_that_were_not_asked_are_not_missing():
    base, new = sides(4, 2, 1, shared=2)
    row = gate(new, base, DOWN).rows[0]
    assert row.verdict is not Verdict.MISSING
    lost = {i: r for i, r in new.samples.items() if i != "p03/32x32x9/1"}
    made = type(new)(new.kind, new.path, new.head, lost, new.metrics, {"m": {i: new.scores["m"][i] for i in lost}}, {})
    assert gate(made, base, DOWN).rows[0].verdict is Verdict.MISSING


def test_set_metrics_take_all_seeds(tmp_path):
    parts = [data_of(seeded(tmp_path, k)) for k in range(6)]
    gates = {"fvd": Gate(max_increase=60.0)}
    one = gate(parts[4], parts[0], gates).rows[0]
    several = gate(merged(parts[4:]), merged(parts[:4]), gates).rows[0]
    assert several.n == 48
    assert several.bound_high - several.change < one.bound_high - one.change
    assert several.seeds == "other seeds: means of 4 and 2 a case"
    worse = data_of(seeded(tmp_path, 9, change=3.0))
    assert gate(worse, merged(parts[:4]), gates).rows[0].verdict is Verdict.REGRESSED


def test_a_slice_of_sets_has_its_reference_whatever_the_seeds(tmp_path):
    a, b = (data_of(seeded(tmp_path, k)) for k in (5, 6))
    row = gate(b, a, {"fvd": Gate(max_increase=1000.0, slice="even")}).rows[0]
    assert row.base is not None
    assert row.n == 12
