"""Limits follow from repeats: the repeats pass them, and a suite file keeps everything else."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from sora_eval import cli
from sora_eval.compare.checkpoints import checkpoint_order
from sora_eval.compare.run_data import RunData, part_of, shifted, started_from
from sora_eval.records.verdict import Verdict
from sora_eval.runs.head import Sequential
from sora_eval.runs.rows import SampleRow
from sora_eval.studies.calibrate import calibrate
from sora_eval.studies.calibration import Calibration, drawn, passes, propose, spreads
from sora_eval.studies.error_rates import WHOLE, Arm, by_seed, draw_rates
from sora_eval.studies.repeats import STEP, repeat
from sora_eval.suite import Gate, load_suite
from sora_eval.suite.editing import write_gates
from sora_eval.util.errors import RunError, SuiteError
from sora_eval_reports.text.calibration import spread_table
from tests.commands import sora_eval
from tests.runs import make_data, make_run

PROMPTS = [f"p{i // 2:02d}" for i in range(24)]
SMALL = ("--baseline-seeds=1", "--seeds=1", "--draws=20")


@pytest.fixture(scope="module")
def repeats():
    draw = np.random.default_rng(0)
    level = np.repeat(draw.standard_normal(12), 2) + 20
    out = []
    for k in range(6):
        noise = draw.standard_normal((3, 24))
        scores = {"m": level + noise[0], "other": 10 + 0.5 * noise[0] + noise[1], "zero": noise[2]}
        out.append(make_data(scores, PROMPTS, seed_offset=100 * k))
    return [data_with_started(s) for s in out]


def data_with_started(data: RunData) -> RunData:
    """The run as it is read from disk: under the ids of the seeds that its clips started from."""
    offset = data.head.seed_offset
    scores = {m: {started_from(i, offset): r for i, r in rows.items()} for m, rows in data.scores.items()}
    return replace(data, scores=scores, samples={r.id: r for r in shifted(data.samples.values(), offset)})


SLICES = {"m": "all", "other": "all", "zero": "all"}


@pytest.fixture(scope="module")
def measured(repeats):
    spread, problems = spreads(repeats, SLICES, drawn(repeats, SLICES, (4, 2), 100))
    assert problems == {}
    return spread


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_the_whole_gate_passes_the_limits_in_the_asked_share_of_pairs_and_hardly_more(repeats, measured, share):
    gates = propose(measured, {}, share)
    passing = np.all([passes(measured[m], gate) for m, gate in gates.items()], 0).mean()
    assert share <= passing <= share + 0.1  # more by the rounding of the limits alone
    assert all(np.mean(passes(measured[m], gate)) >= passing for m, gate in gates.items())
    pool = by_seed(repeats)
    (rates,) = draw_rates(Arm("again", pool), gates, 10, seeds=(4, 2))  # the same draws, judged by the gate itself
    green = [rates.counts[WHOLE][v] for v in (Verdict.PASS, Verdict.IMPROVED)]
    assert sum(green) == np.all([passes(measured[m], gate)[:10] for m, gate in gates.items()], 0).sum()


def test_a_smaller_share_and_more_seeds_give_tighter_limits(repeats, measured):
    tight, wide = (propose(measured, {}, share)["m"].max_increase for share in (0.5, 0.95))
    assert tight < wide < 10
    one = spreads(repeats, SLICES, drawn(repeats, SLICES, (1, 1), 100))[0]
    assert propose(one, {})["m"].max_increase > propose(measured, {})["m"].max_increase


def test_limits_are_in_the_worse_direction_and_none_are_percentages_of_zero(measured):
    gates = propose(measured, {})
    assert gates["m"].max_decrease is None  # lower is better
    assert gates["zero"].max_increase == 0  # around 0 a percentage means nothing; min_change has to hold the noise
    assert gates["zero"].min_change > 0
    assert measured["m"].deviation == pytest.approx(np.std(measured["m"].values, ddof=1))


def test_a_present_gate_keeps_its_direction_and_words(measured):
    alone = {"m": measured["m"]}
    kept = propose(alone, {"m": Gate(max_decrease=1.0, window=[1.0, 2.0], reason="words")})["m"]
    assert kept.max_increase is None
    assert kept.max_decrease > 1.0
    assert (kept.window, kept.reason) == ([1.0, 2.0], "words")
    guarded = propose(alone, {"m": Gate(max_increase=1.0, max_decrease=50.0)})["m"]
    assert guarded.max_decrease == 50.0  # of what is suspiciously good: judgement, which noise does not tell
    assert guarded.max_increase == propose(alone, {})["m"].max_increase > 0
    narrow = propose(alone, {"m": Gate(max_increase=1.0, max_decrease=1.0)})["m"]
    assert narrow.max_decrease > 1.0  # but noise must not reach it


def test_the_table_says_what_would_be_seen(measured):
    gates = propose(measured, {})
    calibration = Calibration(load_suite("gate"), "made", 6, 24, (4, 2), measured, gates, {}, "a test")
    table = spread_table(calibration)
    assert list(table["metric"]) == ["m", "other", "zero"]
    assert float(table["detectable %"][0]) > float(table["sd %"][0])
    assert 0.9 <= calibration.passing <= 1


def test_what_has_no_bound_has_no_limit_and_says_why(repeats):
    few = [part_of(run, [i for i in run.samples if i[:3] in ("p00", "p01")]) for run in repeats]
    measured, problems = spreads(few, {"m": "all", "gone": "all"}, drawn(few, {"m": "all", "gone": "all"}, (4, 2), 5))
    assert (measured, propose(measured, {})) == ({}, {})
    assert problems == {"m": "fewer than 3 prompts", "gone": "the new run has no such row"}


def test_repeats_that_are_none_are_named(repeats):
    with pytest.raises(SuiteError, match="2 seeds of the baseline's checkpoint: 6 and 2 are needed"):
        drawn([part_of(r, [i for i in r.samples if i.endswith("0")]) for r in repeats[:2]], SLICES)
    with pytest.raises(SuiteError, match="must differ in their seeds"):
        drawn([repeats[0], repeats[0]], SLICES)
    head = repeats[1].head
    other = head.model_copy(update={"generator": head.generator.model_copy(update={"fingerprint": "w2"})})
    with pytest.raises(SuiteError, match="must be of one checkpoint"):
        drawn([repeats[0], replace(repeats[1], head=other)], SLICES)
    partial = replace(repeats[1], head=head.model_copy(update={"partial": True}))
    with pytest.raises(SuiteError, match="is not a repeat: the run is partial"):
        drawn([repeats[0], partial], SLICES)


LOOK = {"baseline": "b", "baseline_run": "r", "profile": None, "strict": False, "batch": 1, "spending": "pocock", "alpha": 0.05}
STOPPED = Sequential(**LOOK, pool=12, prompts=("p00",), decided=True)
OTHER_KINDS = [
    ({"bench": {"session": "s"}}, "it is a run of 'sora-eval bench'"),
    ({"sequential": STOPPED}, "it stopped when it was decided, after 1 of 12 prompts"),
]


@pytest.mark.parametrize(("kind", "words"), OTHER_KINDS)
def test_a_run_of_another_kind_is_neither_a_repeat_nor_a_step_nor_used_again(repeats, kind, words, workspace):
    other = replace(repeats[1], head=repeats[1].head.model_copy(update=kind))
    with pytest.raises(SuiteError, match=f"is not a repeat: {words}"):
        drawn([repeats[0], other], SLICES)
    with pytest.raises(RunError, match=f"is no step of a ladder: {words}"):
        checkpoint_order([repeats[0], other])
    suite, spec = load_suite("small.toml"), "python:my_generator:generate"
    (first,) = repeat(suite, spec, 1, workspace / "pool")
    assert repeat(suite, spec, 1, workspace / "pool")[0].path == first.path
    first.update_head(**kind)
    assert repeat(suite, spec, 1, workspace / "pool")[0].path != first.path


def test_a_bench_is_not_resumed_nor_scored_and_every_verb_has_its_own_hint(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", {"m": np.arange(24.0)}, bench={"session": "s"}, status="cancelled")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    for command in (["run", "--resume"], ["score"]):
        refused = sora_eval(*command, run.path)
        assert (refused.returncode, "timings of two sessions do not go together" in refused.stderr) == (2, True)
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    monkeypatch.setattr(cli, "app", lambda: sys.exit(cli.EXIT_INTERRUPTED))
    hints = {verb: sora_eval(verb, "x").stderr for verb in ("run", "bench", "score", "calibrate", "gate")}
    assert [verb for verb, hint in hints.items() if "--resume" in hint] == ["run"]
    assert hints["bench"] == "interrupted; start it again: timings of two sessions do not go together\n"
    assert len(set(hints.values())) == 5


def test_calibrate_generates_what_is_missing_and_writes_limits_with_their_provenance(workspace):
    path, out = workspace / "small.toml", workspace / "runs"
    path.write_text(path.read_text() + "\n# why\n[gates.clip_score] # keep me\nmax_decrease = 1\nreason = 'words'\n")
    before, text = load_suite(path), path.read_text()
    proposed = calibrate(before, "python:my_generator:noisy", None, out, seeds=(1, 1), draws=20)
    assert (proposed.repeats, [*proposed.gates], proposed.unmeasured) == (2, ["clip_score"], {})
    assert path.read_text() == text
    names = sorted(p.name for p in out.iterdir())
    shown = sora_eval("calibrate", "small.toml", *(f"--run={out / name}" for name in names), *SMALL)
    assert shown.returncode == 0, shown.stderr
    assert "nothing was written" in shown.stdout
    options = {"seeds": (1, 1), "draws": 20, "write": True}
    written = calibrate(before, "python:my_generator:noisy", 2, out, metrics=["physics_laws.permanence"], **options)
    assert sorted(p.name for p in out.iterdir()) == names  # nothing is made twice
    after, text = load_suite(path), path.read_text()
    assert after.gates == written.limits
    assert "# why\n[gates.clip_score] # keep me" in text
    assert '[gates."physics_laws.permanence"]' in text
    assert after.fingerprint == before.fingerprint
    assert after.gates["clip_score"].reason == "words"
    assert (
        "sora-eval calibrate small -g python:my_generator:noisy --repeats 2 --pass 0.9 --baseline-seeds 1 --seeds 1"
        in after.gates["clip_score"].provenance
    )
    assert (after.gates["clip_score"].repeats.runs, after.gates["clip_score"].repeats.cases) == (2, 16)
    with pytest.raises(SuiteError, match="no spread of fvd; fvd: the new run has no such row"):
        calibrate(after, "python:my_generator:noisy", 2, out, metrics=["fvd"], **options)


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


def test_a_kept_gate_stays_and_the_others_make_up_for_it(measured):
    kept = Gate(max_increase=propose(measured, {}, 0.8)["m"].max_increase * 0.9)
    gates = propose(measured, {"m": kept}, 0.8, keep=["m"])
    assert gates["m"] == kept
    assert np.all([passes(measured[m], gate) for m, gate in gates.items()], 0).mean() >= 0.8
    with pytest.raises(SuiteError, match=r"the gates that are kept \(m\) pass in [0-9.]+% of the pairs alone"):
        propose(measured, {"m": Gate(max_increase=1e-9)}, 0.8, keep=["m"])
    with pytest.raises(SuiteError, match="nothing is left to calibrate"):
        propose({"m": measured["m"]}, {"m": kept}, 0.5, keep=["m"])
