"""What would turn a gate green although something is worse: each attempt, and the row that answers it."""

from dataclasses import replace

import numpy as np
import pytest

from sora_eval.compare.run_data import RunData
from sora_eval.gate import baseline as baselines
from sora_eval.gate.gate_run import gate_run
from sora_eval.gate.judge import gate
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import ScoreRow
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.suite import Gate
from sora_eval.suite.tables import TagLimit
from sora_eval.util.errors import SuiteError
from tests.runs import edit, make_data, make_run, reopened, values

DOWN = Gate(max_decrease=8.0)


def side(scores, tags=None) -> RunData:
    """A run in memory of scores (prompts, seeds), NaN where there is none; `tags` are those of every prompt."""
    scores = np.asarray(scores, float)
    prompts = [f"p{i:02d}" for i in range(len(scores)) for _ in range(scores.shape[1])]
    cells = ["undefined: nothing falls" if np.isnan(v) else v for v in scores.reshape(-1)]
    data = make_data({"m": cells}, prompts, higher=True)
    if tags is None:
        return data
    samples = {i: r.model_copy(update={"tags": tags[int(r.prompt_id[1:])]}) for i, r in data.samples.items()}
    return replace(data, samples=samples)


def rates(seed, prompts=32, seeds=2, mean=0.8):
    return np.random.default_rng(seed).random((prompts, seeds)) * 0.2 + mean - 0.1


def row_of(new, base, spec=DOWN, **options):
    return gate(new, base, {"m": spec}, strict=True, **options).rows[0]


# Scores


def test_six_prompts_that_collapse_are_found_by_exchanged_seeds():
    """Signs of six prompts alone give no p below 2/2^6; which of a prompt's six seeds are the new run's gives a smaller one."""
    new = rates(1)
    new[:6] -= 0.65
    assert row_of(side(new), side(rates(0, seeds=4)), Gate(max_decrease=5.0)).verdict is Verdict.REGRESSED
    assert row_of(side(rates(1)), side(rates(0, seeds=4)), Gate(max_decrease=5.0)).verdict is Verdict.PASS


TAGS = [("falls",) if p < 10 else ("moves", "odd") if p % 2 else ("moves",) for p in range(32)]


def test_a_class_of_prompts_that_collapses_while_the_mean_holds_has_a_row_of_its_own():
    new = rates(1)
    new[:10] -= 0.4
    new[10:] += 0.4 * 10 / 22
    pair = side(new, TAGS), side(rates(0, seeds=4), TAGS)
    assert row_of(*pair).verdict is not Verdict.REGRESSED
    result = gate(*pair, {"m": Gate(max_decrease=8.0, tags=TagLimit(limit=20.0))}, strict=True)
    verdicts = {r.name: r.verdict for r in result.rows}
    assert verdicts == {"m": "INCONCLUSIVE", "m[falls]": "REGRESSED", "m[moves]": "PASS", "m[odd]": "PASS"}
    assert result.verdict is Verdict.REGRESSED
    few = gate(*pair, {"m": Gate(max_decrease=8.0, tags=TagLimit(limit=20.0, least=12))}, strict=True)
    assert [r.name for r in few.rows] == ["m", "m[moves]"]


def test_nothing_changed_passes_by_tag_too():
    spec = {"m": Gate(max_decrease=8.0, tags=TagLimit(limit=20.0))}
    found = [gate(side(rates(2 * s), TAGS), side(rates(2 * s + 1, seeds=4), TAGS), spec).verdict for s in range(20)]
    assert found == [Verdict.PASS] * 20


def test_hard_cases_that_are_traded_for_easy_ones_are_not_green():
    """19 hard scores are undefined now, 19 easy ones were: what both runs scored is equal."""
    base, new = np.linspace(0.2, 0.9, 64)[:, None], np.linspace(0.2, 0.9, 64)[:, None] + 1e-6
    hard, easy = new.copy(), base.copy()
    hard[:19], easy[-19:] = np.nan, np.nan
    row = row_of(side(hard), side(easy))
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "hard cases may have been traded for easy ones" in row.reason
    mixed, lost = base.copy(), new.copy()
    mixed[1::4], lost[::4] = np.nan, np.nan  # as many, of all kinds
    assert row_of(side(lost), side(mixed)).verdict is Verdict.PASS


def test_lost_scores_are_seen_whatever_the_seeds_of_the_baseline():
    """A tenth is undefined in eight seeds: more scores appear than two seeds could lose. A third of the prompts lose theirs."""
    base, same = rates(0, seeds=8), rates(1)
    for scores in (base, same):
        scores[np.random.default_rng(2).random(scores.shape) < 0.1] = np.nan
    lost = same.copy()
    lost[:12] = np.nan
    row = row_of(side(lost), side(base))
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "more scores were lost than chance explains" in row.reason
    assert row_of(side(same), side(base)).verdict is Verdict.PASS


def test_cases_that_failed_in_both_runs_are_not_left_out(tmp_path):
    runs = [make_run(tmp_path / n, {"m": values(0)}) for n in ("base", "new")]
    for run in runs:
        edit(run, ScoreRow, lambda r: {**r, "value": None, "status": "error", "reason": "no clip"} if r["id"] < "p09" else r)
    result = gate(reopened(runs[1]), reopened(runs[0]), {"m": DOWN})
    assert (result.verdict, result.exit_code) == (Verdict.ERROR, 12)
    assert "18 cases failed in new" in result.rows[0].reason


def test_one_huge_score_of_the_baseline_hides_no_doubling():
    base = np.ones((64, 1)) + np.arange(64)[:, None] * 1e-3
    doubled, base[5] = 2 * base, 1000.0
    data = [make_data({"m": v.reshape(-1)}, [f"p{i:02d}" for i in range(64)]) for v in (doubled, base)]
    assert gate(*data, {"m": Gate(max_increase=10.0)}).verdict not in (Verdict.PASS, Verdict.IMPROVED)


@pytest.mark.parametrize("prompts", [1, 2, 3])
def test_few_prompts_without_a_spread_are_no_proof(prompts):
    ones = np.ones((prompts, 1))
    assert row_of(side(ones), side(ones)).verdict is Verdict.INCONCLUSIVE


def test_a_metric_is_not_paid_for_with_another():
    """The gate is an intersection: no gain of one row makes up for the loss of another."""
    good, bad = values(0, n=24) + 3.0, values(1, n=24) - 4.0
    prompts = [f"p{i // 2:02d}" for i in range(24)]
    base = make_data({"a": values(0, n=24), "b": values(1, n=24)}, prompts, higher=True)
    result = gate(make_data({"a": good, "b": bad}, prompts, higher=True), base, {"a": DOWN, "b": DOWN})
    assert [r.verdict for r in result.rows] == [Verdict.IMPROVED, Verdict.REGRESSED]
    assert result.exit_code == 10


# Clips


def hashed(data, change):
    """The run with the hash `change(case)` of every clip's frames."""
    samples = {i: r.model_copy(update={"sha256": change(i), "prompt": r.prompt_id}) for i, r in data.samples.items()}
    return replace(data, samples=samples)


def test_clips_that_repeat_have_a_row():
    base = hashed(side(rates(0, seeds=4)), lambda i: i)
    one, seeds = (hashed(side(rates(1)), f) for f in (lambda i: "same", lambda i: i.rpartition("/")[0]))
    for new, words in (
        (one, "63 of 64 clips are equal"),
        (seeds, "32 of 64 clips are equal, bit by bit, to one of another seed"),
    ):
        result = gate(new, base, {"m": DOWN})
        assert (result.rows[-1].name, result.verdict) == ("duplicates", Verdict.REGRESSED)
        assert words in result.rows[-1].reason
    assert [r.name for r in gate(hashed(side(rates(1)), lambda i: "new" + i), base, {"m": DOWN}).rows] == ["m"]


def test_clips_that_repeated_before_are_no_regression_and_need_a_baseline_to_be_one():
    base, new = (hashed(side(rates(s)), lambda i: i.rpartition("/")[0]) for s in (0, 1))
    assert gate(new, base, {"m": DOWN}).rows[-1].verdict is Verdict.PASS
    assert gate(new, None, {"m": DOWN}).rows[-1].verdict is Verdict.NO_BASELINE


def test_one_clip_for_every_shape_of_a_prompt_repeats(tmp_path):
    base, new = (reopened(make_run(tmp_path / n, {"m": values(0)})) for n in ("base", "new"))
    samples = {i: r.model_copy(update={"sha256": r.prompt_id}) for i, r in new.samples.items()}
    row = gate(replace(new, samples=samples), base, {"m": DOWN}).rows[-1]
    assert (row.name, row.verdict, row.new) == ("duplicates", Verdict.REGRESSED, 0.5)


def test_equal_prompts_under_one_seed_may_have_equal_clips():
    data = side(rates(0, seeds=1))
    samples = {i: r.model_copy(update={"prompt": "a ball", "sha256": "s"}) for i, r in data.samples.items()}
    assert [r.name for r in gate(replace(data, samples=samples), side(rates(1)), {"m": DOWN}).rows] == ["m"]


def test_a_run_that_is_its_own_baseline_says_so(tmp_path):
    run = make_run(tmp_path / "run", {"m": values(0)}, gates={"m": DOWN})
    result = gate_run(run, run.path)
    assert result.situation == "the run itself, which the baseline holds"


def test_a_generator_that_shows_one_mode_loses_recall(tmp_path, rng):
    """64 clips around one of eight modes of the reference, each a little different."""
    modes = 6 * rng.standard_normal((8, 16))
    real, first, second = (np.concatenate([m + 0.5 * rng.standard_normal((8, 16)) for m in modes]) for _ in range(3))
    one = modes[0] + 0.5 * rng.standard_normal((64, 16))
    runs = []
    for name, vectors in (("base", first), ("same", second), ("one", one)):
        data = reopened(make_run(tmp_path / name, features={"recall": vectors}, prompts=32, reference=real))
        statistic = {"statistic": SetStatistic(kind="recall"), "signature": "recall", "higher_is_better": True}
        runs.append(replace(data, metrics={k: r.model_copy(update=statistic) for k, r in data.metrics.items()}))
    base, same, one_mode = runs
    spec = {"recall": Gate(max_decrease=40.0)}
    assert gate(same, base, spec).verdict is not Verdict.REGRESSED
    assert gate(one_mode, base, spec).verdict is Verdict.REGRESSED


# Limits


WIDER = [
    ({"m": Gate(max_decrease=300.0)}, "limits of the baseline: the run's suite has a wider max_decrease"),
    ({"m": Gate(max_decrease=8.0, min_change=1e9)}, "a wider min_change"),
    ({"m": Gate(max_decrease=8.0, slice="odd")}, "a wider slice"),
    ({"other": Gate(max_decrease=8.0)}, "a gate of the baseline, which the run's suite lacks"),
    ({}, "a gate of the baseline, which the run's suite lacks"),
]


@pytest.mark.parametrize(("own", "words"), WIDER)
@pytest.mark.parametrize("promoted", [True, False])
def test_a_run_brings_no_wider_limits_than_its_baseline(tmp_path, own, words, promoted):
    base = make_run(tmp_path / "base", {"m": values(0), "other": values(5)}, gates={"m": DOWN})
    new = make_run(tmp_path / "new", {"m": values(0) - 4.0, "other": values(5)}, gates=own)
    against = baselines.promote([base], tmp_path / "b.json") if promoted else base.path
    result = gate_run(new, against)
    (row,) = (r for r in result.rows if r.name == "m")
    assert (row.verdict, row.limit) == (Verdict.REGRESSED, "-8 %")
    assert row.reason.endswith(words)


def test_tighter_limits_and_those_that_are_asked_for_by_name_hold(tmp_path, monkeypatch):
    base = make_run(tmp_path / "base", {"m": values(0)}, gates={"m": DOWN})
    new = make_run(tmp_path / "new", {"m": values(0) - 0.5}, gates={"m": Gate(max_decrease=2.0)})
    path = baselines.promote([base], tmp_path / "b.json")
    assert gate_run(new, path).rows[0].limit == "-2 %"
    wide = tmp_path / "wide.toml"
    wide.write_text('[suite]\nid = "made"\n[metrics.clip_score]\n[gates.clip_score]\nmax_decrease = 50\n')
    with pytest.raises(SuiteError, match="is not the suite of the run"):
        baselines.promote([base], path, force=True, suite=wide)
    assert baselines.read(path).gates == {"m": DOWN}


def test_a_baseline_says_which_limits_it_holds(tmp_path, capsys):
    from sora_eval_reports.text.baseline import print_baseline

    run = make_run(tmp_path / "base", {"m": values(0)}, gates={"m": DOWN, "n": Gate(window=[0.0, 1.0])})
    print_baseline(baselines.read(baselines.promote([run], tmp_path / "b.json")))
    assert "m -8 %; n 0 .. 1" in " ".join(capsys.readouterr().out.split())
