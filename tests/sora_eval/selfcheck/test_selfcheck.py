"""Responses on hand-made values; a selfcheck end to end, which a broken metric fails; real clips; bad input."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from reference_model.world import ObjectFacts
from sora_eval.cli import app
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.records.clip import Clip
from sora_eval.registry.metric_info import MetricInfo
from sora_eval.registry.metrics import METRICS
from sora_eval.registry.paired_metrics import PAIRED_OUTPUTS
from sora_eval.selfcheck import measure as measuring
from sora_eval.selfcheck.check import selfcheck as check
from sora_eval.selfcheck.claims import CLAIMS, SET_CORRUPTIONS, Claim
from sora_eval.selfcheck.judge import _holds
from sora_eval.selfcheck.material import Cell, open_material
from sora_eval.selfcheck.responses import EFFECT_LIMIT, direction, paired_effect, rank_correlation, set_effect
from sora_eval.selfcheck.result import Row
from sora_eval.util.errors import SelfcheckError, SoraEvalError
from sora_eval.video.codec import write_clip
from sora_eval.video.corruptions import CORRUPTIONS, SOURCES, STRENGTHS
from tests.conftest import world_clip


def test_rank_correlation_by_hand():
    assert rank_correlation(STRENGTHS, [1, 2, 3, 4, 50]) == 1
    assert rank_correlation(STRENGTHS, [-1, -2, -3, -4, -5]) == -1
    assert rank_correlation(STRENGTHS, [0.0] * 5) == 0
    assert rank_correlation(STRENGTHS, [1e-17, -1e-17, 2e-17, 0, 1e-16]) == 0  # rounding is no response
    # Ranks of (0, 0, 0, 1, 1, 1) are 2, 2, 2, 5, 5, 5: 13.5 / sqrt(17.5 * 13.5).
    assert rank_correlation(STRENGTHS, [0, 0, 1, 1, 1]) == pytest.approx(13.5 / np.sqrt(17.5 * 13.5))
    assert rank_correlation(STRENGTHS, [None, None, None, 1, 2]) is None


def test_paired_effects_by_hand():
    assert paired_effect([1, 2, 3], [2, 4, 6]) == pytest.approx(2.0)  # changes 1, 2, 3: mean 2, deviation 1
    assert paired_effect([1, 2, 3, 9], [2, 4, 6, np.nan]) == pytest.approx(2.0)
    assert paired_effect([1, 2, 3], [0, 1, 2]) == -EFFECT_LIMIT
    assert paired_effect([1, 2, 3], [1, 2, 3]) == 0
    assert paired_effect([1, 2, np.nan], [0, 1, 2]) is None  # two pairs are too few


def test_the_effect_of_a_mean_as_a_set_metric_is_the_paired_effect(rng):
    before, after = rng.standard_normal((2, 12))
    joint = np.concatenate([before, after + 1])
    change, effect = set_effect(np.arange(12), np.arange(12, 24), lambda rows: float(joint[rows].mean()), 2)
    assert change == pytest.approx((after + 1 - before).mean())
    assert effect == pytest.approx(paired_effect(before, after + 1))
    assert set_effect(np.arange(3), np.arange(3, 6), lambda rows: float(joint[rows].mean()), 4)[1] is None


def test_directions():
    assert direction(1.0, 2.0, False) == direction(-0.95, -2.0, True) == "worse"
    assert direction(1.0, 2.0, True) == "better"
    assert (direction(1.0, 2.0, None), direction(-1.0, -2.0, None)) == ("up", "down")
    assert direction(1.0, 0.4, True) == "blind"
    assert direction(0.8, 2.0, True) == direction(0.9, -2.0, True) == "unclear"
    assert direction(None, 2.0, True) == direction(1.0, None, True) == "unknown"


def test_every_claim_is_about_what_exists():
    outputs = {o for o, _ in CLAIMS}
    assert {c for _, c in CLAIMS} <= set(CORRUPTIONS)
    assert set(SET_CORRUPTIONS) <= set(CORRUPTIONS)
    assert {name.partition(".")[0] for name in outputs - PAIRED_OUTPUTS.keys()} <= set(METRICS.built_in)
    assert all(c.why for c in CLAIMS.values())
    # Every metric claims something, and every corruption is claimed by a family that should catch it.
    for name, corruption in CORRUPTIONS.items():
        families = {
            METRICS.built_in[o.partition(".")[0]].family
            for o, c in CLAIMS
            if c == name and not CLAIMS[o, c].blind_spot and o not in PAIRED_OUTPUTS
        }
        assert families & set(corruption.caught_by), name


def test_shared_corruptions_hit_a_share_of_the_clips():
    material = open_material("quick", 6)
    clips = [material.clip(i) for i in range(6)]
    still = sum(np.array_equal(c.frames, c.frames[::-1]) for c in clips)  # what rests is the same backwards
    for strength in STRENGTHS:
        hits = round(6 * strength)
        for name, most in (("reversal", hits), ("caption_swap", 0), ("mode_collapse", min(hits, 6 - SOURCES))):
            treated = [material.treat(i, clip, Cell(name, strength)) for i, clip in enumerate(clips)]
            changed = sum(t.sha256 != c.sha256 for (t, _), c in zip(treated, clips, strict=True))
            swapped = sum(case.prompt.text != own.prompt.text for (_, case), own in zip(treated, material.cases, strict=True))
            assert most - (still if name == "reversal" else 0) <= changed <= most
            assert swapped == (hits if name == "caption_swap" else 0)
    assert len({material.treat(i, c, Cell("mode_collapse", 1.0))[0].sha256 for i, c in enumerate(clips)}) == SOURCES


class Deaf(ClipMetric):
    """Claims to see flicker and gives the same number for every clip."""

    outputs = (Output("deaf", "1", True, "0 to 1"),)
    signature = "deaf|constant"

    def score(self, view):
        return {"deaf": Score(0.5)}


@pytest.fixture
def deaf(monkeypatch):
    monkeypatch.setitem(METRICS.built_in, "deaf", MetricInfo("temporal", "per-clip", f"{__name__}:Deaf", "a broken metric"))
    monkeypatch.setitem(CLAIMS, ("deaf", "flicker"), Claim("worse", "it says so"))


def selfcheck(*arguments):
    return CliRunner().invoke(app, ["selfcheck", *map(str, arguments)])


CHEAP = (
    "--metrics",
    "temporal_flickering,physics_laws",
    "--corruptions",
    "flicker,freeze,teleport,reversal,pass_through_floor",
)


def test_world_clips_end_to_end_and_a_killed_one_goes_on(tmp_path, monkeypatch):
    out = tmp_path / "out"
    arguments = ("--clips", "quick", "--n", 6, *CHEAP, "--out", out)
    done = selfcheck(*arguments)
    assert done.exit_code == 0, done.output
    assert done.output.strip().splitlines()[-1].startswith("selfcheck: PASS (")
    data = json.loads((out / "selfcheck.json").read_text())
    assert data["schema_version"] == 2
    assert data["n"] == 6
    found = {(r["metric"], r["corruption"]): r for r in data["summary"]}
    assert found["temporal_flickering", "flicker"]["direction"] == "worse"
    assert found["temporal_flickering", "flicker"]["rank_correlation"] == -1
    assert found["temporal_flickering", "freeze"]["direction"] == "better"
    assert found["temporal_flickering", "reversal"]["effect_sd"] == 0
    assert found["physics_laws.continuity", "teleport"]["direction"] == "worse"
    assert found["physics_laws.support", "pass_through_floor"]["direction"] == "worse"
    assert {r["corruption"] for r in data["trivial"]} >= {"trivial:static", "trivial:real", "trivial:black"}
    table = pd.read_csv(out / "selfcheck.csv")
    assert len(table) == len(pd.read_parquet(out / "selfcheck.parquet")) == len(data["rows"])
    still = table[table["metric"].eq("temporal_flickering")].set_index("corruption")["value"]
    assert still["trivial:static"] == 1.0
    assert (out / "selfcheck.png").stat().st_size > 5000
    # A kill tears the last line and loses the ones after it; what is kept is not computed again.
    kept = (out / "scores.jsonl").read_bytes()
    lines = kept.splitlines(keepends=True)
    (out / "scores.jsonl").write_bytes(b"".join(lines[:-3]) + lines[-3][:20])
    scored = []
    real = measuring._score
    monkeypatch.setattr(measuring, "_score", lambda *asked: scored.append(1) or real(*asked))
    assert selfcheck(*arguments).exit_code == 0
    assert 0 < len(scored) <= 6
    assert json.loads((out / "selfcheck.json").read_text()) == data


def test_a_metric_that_does_not_see_what_it_claims_fails(deaf, tmp_path):
    done = selfcheck("--clips", "quick", "--n", 4, "--metrics", "deaf", "--corruptions", "flicker", "--out", tmp_path)
    assert done.exit_code == 10
    assert "deaf on flicker: claims 'worse', found 'blind'" in done.output
    assert done.output.strip().splitlines()[-1].startswith("selfcheck: FAIL (1 failures, 0 claims hold, 1 corruptions")


def test_the_procedure_is_the_verb_and_finds_its_own_scores_again(tmp_path):
    options = {"clips": "quick", "metrics": ["temporal_flickering"], "corruptions": ["flicker"], "n": 4, "out": tmp_path}
    result = check(**options)
    assert (result.verdict, result.n, result.clips) == ("PASS", 4, "quick")
    assert check(**options) == result
    with pytest.raises(SelfcheckError, match="metric 'temporal_flikering' is not known; did you mean"):
        check(metrics=["temporal_flikering"])
    with pytest.raises(SelfcheckError, match="corruption 'noize' is not known"):
        check(corruptions=["noize"])


def test_a_blind_spot_that_is_none_fails_too(monkeypatch, tmp_path):
    monkeypatch.setitem(CLAIMS, ("temporal_flickering", "flicker"), Claim("blind", "wrong"))
    arguments = ("--metrics", "temporal_flickering", "--corruptions", "flicker", "--out", tmp_path)
    done = selfcheck("--clips", "quick", "--n", 4, *arguments)
    assert done.exit_code == 10
    assert "claims 'blind', found 'worse'" in done.output


@pytest.mark.parametrize(
    ("claimed", "effects", "holds"),
    [
        ("worse at full", (-0.2, 0.3, -0.1, -0.6, -3.0), True),  # not by degrees
        ("worse at full", (-0.2, -0.3, -0.4, -0.5, -0.4), False),  # within noise
        ("worse at full", (0.2, 0.3, 0.4, 0.5, 3.0), False),  # the other way
        ("worse to little", (-3.0, -2.0, -1.0, -0.5, 0.5), True),  # seen at once, and gone at full strength
        ("worse to little", (-0.4, -2.0, -3.0, -4.0, -5.0), False),  # within noise
        ("worse to little", (3.0, 2.0, 1.0, -1.0, -2.0), False),  # the other way
        ("better", (0.2, -0.3, 0.4, 0.5, 3.0), True),
        ("worse", (-0.2, 0.3, -0.1, -0.6, -3.0), False),  # has to grow
    ],
)
def test_what_claims_at_full_strength_ask_for(claimed, effects, holds):
    def row(strength, effect):
        return Row("m", "text", "per-clip", "1", True, "blur", strength, 1.0, effect, effect, 8, 8, "ok", "", "m")

    rows = [row(s, e) for s, e in zip(STRENGTHS, effects, strict=True)]
    found = direction(rank_correlation(STRENGTHS, effects), effects[-1], True)
    assert _holds(Claim(claimed, "why"), found, rows, exact=True) is holds


@pytest.fixture
def real_clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed in range(4):
        frames = world_clip(
            ObjectFacts("red", "circle", "moves", "right", "slowly"), seed=seed, size=(40, 56), frames=12
        ).frames
        write_clip(Clip(frames, 12.0), folder / f"{seed}.mkv")
    return folder


def test_clips_without_facts_have_no_physics_and_say_why(real_clips, tmp_path):
    corruptions = ("--corruptions", "flicker,object_vanish")
    metrics = ("--metrics", "temporal_flickering,physics_laws")
    done = selfcheck("--clips", f"folder:{real_clips}", "--n", 4, *metrics, *corruptions, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "out/selfcheck.csv")
    laws = table[table["metric"].str.startswith("physics_laws") & table["corruption"].eq("flicker")]
    assert set(laws["status"]) == {"undefined"}
    assert laws["reason"].str.contains("4 clips: the prompt has no facts").all()
    scenes = table[table["corruption"].eq("object_vanish")]
    assert scenes["reason"].str.contains("the truth behind these clips is not known").all()
    assert set(table["n_expected"]) == {4}


def test_a_broken_file_is_a_missing_clip(real_clips, tmp_path):
    (real_clips / "9.mkv").write_bytes(b"no video")
    arguments = ("--metrics", "temporal_flickering", "--corruptions", "flicker", "--out", tmp_path / "out")
    assert selfcheck("--clips", f"folder:{real_clips}", *arguments).exit_code == 0
    rows = pd.read_csv(tmp_path / "out/selfcheck.csv")
    assert set(rows["n_scored"]) == {4}
    assert set(rows["n_expected"]) == {5}
    assert rows["reason"].str.contains("1 clips: no clip: ").all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--corruptions", "blurr"), "corruption 'blurr' is not known; did you mean 'blur'"),
        (("--metrics", "clip_scor"), "metric 'clip_scor' is not known; did you mean 'clip_score'"),
        (("--metrics", "clip_score?modl=x"), "'modl' is not an option; did you mean 'model'"),
        (("--metrics", "clip_score?frames=x"), "frames = 'x'; expected int"),
        (("--clips", "folder:FOLDER"), "holds no video"),
        (("--clips", "nothing"), "is neither a file nor shipped"),
        (("--clips", "throughput"), "the suite has 0 prompts, fewer than --n 16"),
        (("--clips", "quick", "--n", "999"), "the suite has 32 prompts, fewer than --n 999"),
        (("--n", "1"), "found 1 clips, expected at least 3"),
        (("--n", "3", "--metrics", "temporal_flickering", "--out", "FILE"), "cannot write into"),
    ],
)
def test_what_cannot_be_checked_is_one_message(tmp_path, arguments, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    given = [a.replace("FOLDER", str(tmp_path / "empty")).replace("FILE", str(tmp_path / "file")) for a in arguments]
    done = selfcheck(*given, *(() if "--out" in given else ("--out", tmp_path / "out")))
    assert isinstance(done.exception, SoraEvalError), done.output
    assert message in str(done.exception)


def test_one_clip_is_not_enough(real_clips, tmp_path):
    for file in sorted(real_clips.iterdir())[1:]:
        file.unlink()
    done = selfcheck("--clips", f"folder:{real_clips}", "--out", tmp_path / "out")
    assert "found 1 clips, expected at least 3" in str(done.exception)


def test_a_damaged_line_names_itself(tmp_path):
    (tmp_path / "scores.jsonl").write_text("{}\n")
    done = selfcheck("--n", 3, "--metrics", "temporal_flickering", "--out", tmp_path)
    assert "scores.jsonl:1 is damaged" in str(done.exception)
