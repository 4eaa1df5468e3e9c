"""The comment on a change: its marker, what is in it and what is not, and the clips that it points to."""

from dataclasses import replace

import pytest

from sora_eval.records.verdict import FILE, GateResult, GateRow, Verdict
from sora_eval_reports.export.comment import worst_clips, write_comment
from sora_eval_reports.text.comment import ROWS, comment, marker
from tests.commands import sora_eval
from tests.runs import WORSE, drawn_run, made_hostile, make_run

RUN = {"label": "made:new", "run": "new"}


def row(metric, verdict, **facts):
    given = {"slice": "all", "reason": f"of {metric}", "limit": "-5 %", "min_change": 0.0, **facts}
    return GateRow(metric, verdict=verdict, **given)


def result(*rows):
    return GateResult(tuple(rows), True, None, RUN, {})


def test_only_rows_that_are_not_green_are_shown_worst_first():
    text = comment(result(row("good", Verdict.PASS), row("open", Verdict.INCONCLUSIVE), row("bad", Verdict.REGRESSED)), "new")
    assert text.startswith(f"{marker()}\n## gate: REGRESSED (1 of 3 gates: bad; 1 INCONCLUSIVE, 1 PASS)\n")
    assert "good" not in text.split("\n", 2)[2]
    assert text.index("| bad") < text.index("| open")


def test_a_green_gate_is_its_verdict_alone():
    text = comment(result(row("good", Verdict.PASS)), "new")
    assert "## gate: PASS (1 gate)" in text
    assert "|" not in text


def test_a_run_that_was_not_judged_has_no_verdict():
    text = comment(None, "new")
    assert text.startswith(f"{marker()}\n## gate: no verdict\n")
    assert "PASS" not in text


def test_many_long_and_hostile_reasons_fit_into_a_comment_and_call_nobody():
    rows = [row(f"m{i}", Verdict.REGRESSED, reason=f"{i} @owner {WORSE} " + "x " * 5000) for i in range(200)]
    text = comment(result(*rows), "new")
    assert len(text) < 65536
    assert "@owner" not in text
    assert "<script" not in text
    assert f"{200 - ROWS} more rows" in text


@pytest.mark.parametrize(("better", "worst"), [(True, "p00/32x32x9/0"), (False, "p02/40x24x9/0")])
def test_the_worst_clips_are_the_failed_and_then_the_worst_in_the_metric_s_direction(tmp_path, better, worst):
    run = make_run(tmp_path / "run", {"m": [1.0, 2.0, 3.0, "error: no clip", 4.0, 5.0]}, prompts=3)
    bad = row("m", Verdict.REGRESSED, higher_is_better=better)
    assert worst_clips(run, result(bad))[:2] == ("p01/40x24x9/0", worst)
    assert worst_clips(run, result(replace(bad, slice="40x24x9", higher_is_better=True)))[:2] == (
        "p01/40x24x9/0",
        "p00/40x24x9/0",
    )
    assert worst_clips(run, result(replace(bad, verdict=Verdict.PASS))) == ()


def test_the_verb_writes_the_comment_and_its_clips_and_takes_old_ones_away(tmp_path):
    run = made_hostile(drawn_run(tmp_path, "run"))
    file = tmp_path / "out/comment.md"
    run.save_json(FILE, result(row("clip_score", Verdict.REGRESSED, higher_is_better=True)).to_json())
    done = sora_eval("comment", run.path, "--out", file, "--name", "gate 2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(file), str(file.with_name("worst.png"))]
    assert file.read_text().startswith("<!-- sora-eval:gate-2 -->\n## gate: REGRESSED")
    assert "<script" not in file.read_text()
    run.save_json(FILE, result(row("clip_score", Verdict.PASS)).to_json())
    assert write_comment(run, file, "gate 2") == [file]
    assert not file.with_name("worst.png").exists()


def test_a_place_that_cannot_be_written_is_one_message(tmp_path):
    run = make_run(tmp_path / "run", {"m": [1.0] * 24})
    (tmp_path / "file").write_text("")
    done = sora_eval("comment", run.path, "--out", tmp_path / "file/comment.md")
    assert done.returncode == 2
    assert "choose another --out" in done.stderr
