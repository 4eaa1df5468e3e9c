"""Votes of synthetic voters of known bias on runs made of numbers: agreement, sides, strengths, corrections; bad input."""

import json

import numpy as np
import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.runs.rows import MetricRow, SampleRow
from sora_eval.stats.natural_scene import packed
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.util.errors import VoteError
from sora_eval.votes.agreement import agreement
from sora_eval.votes.ballot import ballot_id, ballot_of, drawn
from sora_eval.votes.votes import Vote, read_votes
from tests.commands import WIDTH, held_to_width, sora_eval
from tests.runs import edit, make_run

PROMPTS = 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs whose true quality differs by case. `clip_score` is that quality, `warping_error` the opposite of it (lower is
    better), `caption_facts` noise."""
    rng, root = np.random.default_rng(5), tmp_path_factory.mktemp("runs")
    quality = rng.standard_normal((2, 2 * PROMPTS)) + np.array([[0.0], [0.4]])
    out = []
    for name, q in zip("ab", quality, strict=True):
        scores = {"clip_score": q, "warping_error": -2 * q, "caption_facts": rng.standard_normal(len(q))}
        run = make_run(root / name, scores, prompts=PROMPTS, generator={**GENERATOR, "checkpoint": name, "fingerprint": name})
        edit(run, MetricRow, lambda r: {**r, "higher_is_better": False} if r["metric"] == "warping_error" else r)
        out.append(run)
    return out


GENERATOR = {"spec": "made", "name": "made"}


def voters(runs, rng, left_bias=0.0, noise=1.0, names=("ann", "bob"), share=0.5, ties=0.2):
    """Votes by the true quality (clip_score), with noise, a liking for the left, and ties where the clips are much alike."""
    a, b = map(data_of, runs)
    ballot, out = ballot_of(a, b), []
    pairs = drawn(ballot.pairs, round(share * len(ballot.pairs)), int(rng.integers(1 << 30)))
    for voter in names:
        for pair in pairs:
            sides = [
                (data.scores["clip_score"][pair.case].value, clip.sha256) for data, clip in zip((a, b), pair.clips, strict=True)
            ]
            left, right = sides if rng.random() < 0.5 else sides[::-1]
            felt = left[0] - right[0] + left_bias + noise * rng.logistic()
            choice = "tie" if abs(felt) < ties else "left" if felt > 0 else "right"
            facts = {"ballot": ballot.id, "case": pair.case, "left": left[1], "right": right[1], "choice": choice}
            out.append(Vote(version=1, voter=voter, seconds=1.0, at="2026-01-01T00:00:00Z", **facts))
    return out


def test_metrics_agree_as_far_as_they_say_what_voters_see(runs, rng):
    result = agreement(voters(runs, rng), [data_of(r) for r in runs])
    shares = {m.metric: m.share for m in result.metrics}
    assert shares["clip_score"].value == shares["warping_error"].value > 0.6
    assert shares["clip_score"].interval.low > 0.5
    assert shares["caption_facts"].interval.low < 0.5 < shares["caption_facts"].interval.high
    assert result.votes == len(voters(runs, rng))
    assert (result.voter_count, result.foreign) == (2, 0)
    assert 0.5 < result.voters.value < 1
    assert result.strengths.values[1] > result.strengths.values[0]


def test_a_liking_for_a_side_is_seen_and_does_not_move_the_strengths(runs, rng):
    data = [data_of(r) for r in runs]
    fair, biased = (agreement(voters(runs, rng, bias, names="abcdef"), data) for bias in (0.0, 2.0))
    assert fair.left.interval.low < 0.5 < fair.left.interval.high
    assert biased.left.interval.low > 0.6
    assert biased.strengths.side_interval.low > 0.5
    assert fair.strengths.side_interval.low < 0 < fair.strengths.side_interval.high
    gain = [r.strengths.values[1] - r.strengths.values[0] for r in (fair, biased)]
    assert gain[1] == pytest.approx(gain[0], abs=0.4)


def test_intervals_of_the_agreement_hold_the_share_of_all_cases(runs):
    rng, data, held = np.random.default_rng(0), [data_of(r) for r in runs], 0
    everything = agreement(voters(runs, rng, names=map(str, range(60)), share=1.0), data)
    truth = {m.metric: m.share.value for m in everything.metrics}
    for _ in range(40):
        shares = {m.metric: m.share for m in agreement(voters(runs, rng), data).metrics}
        held += sum(s.interval.low <= truth[m] <= s.interval.high for m, s in shares.items())
    assert held / 120 >= 0.88  # 95 %; 3.5 standard errors below


def test_votes_and_a_good_metric_together_are_more_certain(runs, rng):
    result = agreement(voters(runs, rng, share=0.3), [data_of(r) for r in runs])
    rows = {c.metric: c for c in result.corrected}
    good, noise = rows["clip_score"], rows["caption_facts"]
    assert (good.cases, good.voted) == (2 * PROMPTS, 24)
    assert good.change == pytest.approx(-rows["warping_error"].change / 2)
    width = [np.ptp([i.low, i.high]) for i in (good.preference.interval, good.preference.alone_interval)]
    assert width[0] < width[1]
    assert good.preference.value == pytest.approx(rows["warping_error"].preference.value)
    assert noise.preference.alone == good.preference.alone


def test_the_order_of_the_runs_turns_the_signs(runs, rng):
    votes, data = voters(runs, rng), [data_of(r) for r in runs]
    one, other = agreement(votes, data), agreement(votes, data[::-1])
    assert other.corrected[0].preference.value == pytest.approx(-one.corrected[0].preference.value)
    assert other.strengths.values[::-1] == pytest.approx(one.strengths.values, abs=1e-6)
    assert {m.metric: m.share.value for m in other.metrics} == {m.metric: m.share.value for m in one.metrics}


def test_a_mean_of_distances_of_clips_is_judged_and_a_distance_of_sets_is_not(tmp_path, rng):
    worse = rng.permutation(24)
    made = []
    for name, shift in (("a", 0.0), ("b", 1.0)):
        clips = [packed(32, 32, rng.standard_normal((20, 4)) + shift * (1 + i)) for i in worse]
        real = [packed(32, 32, rng.standard_normal((20, 4))) for _ in range(8)]
        run = make_run(tmp_path / name, {"clip_score": np.zeros(24)}, {"natural_scene": clips}, reference=real)
        spec = SetStatistic(kind="natural-scene").model_dump()
        edit(run, MetricRow, lambda r, s=spec: {**r, "statistic": s} if r["metric"] == "natural_scene" else r)
        made.append(run)
    a, b = map(data_of, made)
    ballot = ballot_of(a, b)
    facts = {"version": 1, "ballot": ballot.id, "voter": "v", "seconds": 1.0, "at": "t"}
    votes = [Vote(case=p.case, left=p.clips[0].sha256, right=p.clips[1].sha256, choice="left", **facts) for p in ballot.pairs]
    result = agreement(votes, [a, b])
    shares = {m.metric: m for m in result.metrics}
    assert shares["natural_scene"].share.value > 0.9  # the nearer clip is the one chosen
    assert (shares["clip_score"].share.value, shares["clip_score"].undecided) == (0.5, 24)
    assert (result.strengths, result.left.value) == (None, 1.0)
    assert "always" in result.no_strengths
    edit(made[0], MetricRow, lambda r: {**r, "statistic": None} if r["metric"] == "natural_scene" else r)
    (row,) = (m for m in agreement(votes, [data_of(made[0]), b]).metrics if m.metric == "natural_scene")
    assert (row.share, row.reason) == (None, "24 x of a set of clips; one clip has no score")


def test_pairs_are_of_unlike_clips_and_prompts_take_turns(runs, tmp_path):
    a, b = map(data_of, runs)
    ballot = ballot_of(a, b)
    assert ballot.id == ballot_id(b, a)
    assert len({p.cluster for p in drawn(ballot.pairs, PROMPTS, 3)}) == PROMPTS
    assert drawn(ballot.pairs, 9, 1) == drawn(ballot.pairs, 9, 1) != drawn(ballot.pairs, 9, 2)
    with pytest.raises(VoteError, match="80 cases: both clips are the same"):
        ballot_of(a, a)
    other = make_run(tmp_path / "c", {"clip_score": np.zeros(6)}, prompts=3)
    edit(other, SampleRow, lambda r: {**r, "status": "error", "error": "x"} if r["id"].startswith("p00") else r)
    edit(other, SampleRow, lambda r: {**r, "fps": 9.0} if r["id"].startswith("p01") else r)
    third = ballot_of(a, data_of(other))
    assert [p.case.partition("/")[0] for p in third.pairs] == ["p02", "p02"]
    assert sorted(third.left_out.values()) == [2, 2, 74]


def save(path, votes):
    path.write_text("".join(v.model_dump_json() + "\n" for v in votes))
    return path


def test_files_of_votes_are_read_once_per_pair_and_refused_by_line(runs, rng, tmp_path):
    votes = voters(runs, rng)
    again = [v.model_copy(update={"choice": "tie", "at": "2026-01-02T00:00:00Z"}) for v in votes[:3]]
    both = read_votes([save(tmp_path / "1.jsonl", votes), save(tmp_path / "2.jsonl", [*again, *votes])])
    assert len(both) == len(votes)
    assert [v.choice for v in both[:3]] == ["tie"] * 3
    bad = tmp_path / "bad.jsonl"
    for line, why in (
        ('{"version": 1}', "bad.jsonl:2 is no vote: ballot: Field required"),
        ("{", "bad.jsonl:2 is no vote"),
        (json.dumps({**votes[0].model_dump(), "choice": "both"}), "bad.jsonl:2 is no vote: choice: Input should be"),
    ):
        bad.write_text(votes[0].model_dump_json() + "\n" + line)
        with pytest.raises(VoteError, match=why):
            read_votes([bad])
    bad.write_text("")
    with pytest.raises(VoteError, match="no vote; save some"):
        read_votes([bad])
    with pytest.raises(VoteError, match="cannot be read"):
        read_votes([tmp_path / "gone.jsonl"])
    forged = votes[0].model_copy(update={"left": "x"})
    with pytest.raises(VoteError, match="names clips that are not those of"):
        agreement([forged], [data_of(r) for r in runs])


def test_from_the_command_line(runs, rng, tmp_path):
    file = save(tmp_path / "votes.jsonl", voters(runs, rng))
    both = ("--runs", runs[0].path, "--runs", runs[1].path)
    done = sora_eval("agreement", file, *both, SORA_EVAL_COLUMNS=str(WIDTH))
    held_to_width(done)
    assert "80 votes of 2 voters" in done.stdout
    for text in ("for the left", "clip_score", "strengths (Bradley-Terry", "made:b against made:a"):
        assert text in done.stdout
    one = sora_eval("agreement", file, "--runs", runs[0].path)
    assert (one.returncode, "give it for every run" in one.stderr) == (2, True)
    other = sora_eval("agreement", file, "--runs", runs[0].path, "--runs", runs[0].path)
    assert (other.returncode, "name the runs that the page was made of" in other.stderr) == (2, True)
