"""The answer first: ten statements that were looked at, each held to the numbers, and never better than the verdict."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.compare.checkpoints import Order
from sora_eval.compare.comparison import better
from sora_eval.gate.judge import gate
from sora_eval.records.verdict import GateResult, GateRow, Verdict
from sora_eval.runs.rows import ScoreRow
from sora_eval_reports.answer.ladder import corrected, stopped_since
from sora_eval_reports.answer.one_run import by_family, places, share
from sora_eval_reports.answer.statement import Answer, moved
from sora_eval_reports.answer.two_runs import beyond_noise, two_runs
from sora_eval_reports.answer.verdict import of_gate, row_clips
from tests.reports.answer.material import CASES, LIMITS, Case, compare, side
from tests.runs import make_run

GOLDEN = Path(__file__).parents[1] / "golden" / "answers"


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Case]:
    return request.param, CASES[request.param](tmp_path_factory.mktemp("case"))


def test_the_statement_is_the_one_that_was_looked_at(case):
    name, made = case
    file = GOLDEN / f"{name.replace(' ', '-').replace(',', '')}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(made.answer.line + "\n")
    assert made.answer.line + "\n" == file.read_text(), f"{file.name} has changed; look at it, then UPDATE_GOLDEN=1"


def test_the_statement_follows_from_the_numbers(case):
    made = case[1]
    text = made.answer.text
    if made.comparison is not None:
        held_to_pair(made)
    elif made.rungs is not None:
        held_to_ladder(made)
    elif made.verdict is not None:
        held_to_gate(made)
    elif made.scale is not None:
        placed = places(made.rows, made.scale)
        for family, place in by_family(made.rows, placed).items():
            assert f"{share(place)} in {family}" in text
        lowest = sorted(placed, key=placed.get)[:2]
        assert re.search(rf"weakest: {lowest[0]} at .*? and {lowest[1]} at ", text)
        for r in made.rows:
            if r.metric in placed:
                zero, one = (2.0, 14.0) if r.higher_is_better else (20.0, 2.0)
                one = 30.0 if r.metric.endswith("continuity") else one
                assert placed[r.metric] == pytest.approx((r.value - zero) / (one - zero))
            else:
                assert r.higher_is_better is None
    else:
        assert "5 of 5 metrics have a value" in text
        assert "no scale" in text
        assert "a part of its suite (--limit 6)" in text
        assert "1 of 12 cases failed" in text


def held_to_pair(made: Case) -> None:
    rows = made.comparison.rows
    tested = [d for d in rows if d.p is not None]
    gains, losses = beyond_noise(tested)
    for d in rows:
        if moved(d.metric, d.base, d.new, d.change_percent) in made.answer.text:
            assert better(d) in ("new", "base")  # a named metric differs beyond noise
    if made.verdict is None:
        expected = "worse" if losses else "better" if gains else "cannot tell"
        assert made.answer.word == expected
    else:
        assert made.verdict.headline in made.answer.text
        assert (made.answer.word == "better") == (made.verdict.verdict is Verdict.IMPROVED)
    named = re.search(r"better in (.*?)(;|$)", made.answer.text)
    for metric in re.findall(r"([\w.]+) [\d.]+ to", named[1]) if named else []:
        assert metric in {d.metric for d in gains}


def held_to_ladder(made: Case) -> None:
    orders = corrected(made.rungs)
    improving = {m for m, order in orders.items() if order[-1] is Order.HOLDS}
    assert made.answer.word == ("still improving" if improving else "no longer improving")
    for r in made.rungs:
        if r.metric in improving:
            assert better(r.to_last[-1].change) == "new"
            assert moved(r.metric, r.values[-2], r.values[-1]) in made.answer.text
        elif since := stopped_since(orders[r.metric]):
            label = r.to_last[since].base
            assert re.search(rf"since {label} no gain beyond noise: [^;]*{r.metric}", made.answer.text)
            assert better(r.to_last[since - 1].change) == "new"  # the last is better than the one before that
            assert all(better(s.change) != "new" for s in r.to_last[since:])


def held_to_gate(made: Case) -> None:
    row = made.verdict.rows[0]
    assert made.answer.word == str(made.verdict.verdict)
    assert moved(row.name, row.base, row.new, row.change_percent) in made.answer.text
    clips = row_clips(made.run, row)[:3]
    assert ", ".join(clips) in made.answer.text
    scores = {s.id: s.value for s in made.run.rows(ScoreRow)}
    assert [scores[i] for i in clips] == sorted(scores.values())[:3]


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.booleans())
def test_it_is_never_better_where_the_verdict_is_not(shifts, gated):
    base = side("early")
    new = side("late", clip_score=shifts[0], physics_laws=shifts[1], object_facts=shifts[2])
    comparison = compare(base, new)
    verdict = gate(new, base, LIMITS) if gated else None
    answer = two_runs(comparison, verdict)
    verdicts = {better(d) for d in comparison.rows}
    if answer.word == "better":
        assert "new" in verdicts
        assert verdict is None or verdict.verdict is Verdict.IMPROVED
        assert verdict is not None or not beyond_noise(comparison.rows)[1]
    if "better in" in answer.text:
        assert "new" in verdicts
    if verdict is not None and verdict.verdict is Verdict.REGRESSED:
        assert answer.word == "worse"


@pytest.mark.parametrize("verdict", Verdict)
def test_the_word_of_a_gate_is_its_verdict(verdict):
    row = GateRow("fvd", "all", verdict, "why", "+5 %", 0.0, 10.0, 11.0, 1.0, 10.0, higher_is_better=False)
    answer = of_gate(GateResult((row,), True, None, {"label": "a:b"}, {"label": "c:d"}))
    assert answer.word == str(verdict).replace("_", " ")
    assert ("better" in answer.text) == (verdict is Verdict.IMPROVED)
    assert ("not worse" in answer.text) == (verdict is Verdict.PASS)
    assert (answer.tone == "good") == verdict.green


def test_cases_that_are_gone_leave_no_better(tmp_path):
    scores = [10.0 + 0.01 * i for i in range(24)]
    base = make_run(tmp_path / "base", {"clip_score": scores})
    new = make_run(tmp_path / "new", {"clip_score": ["error: no memory", *(v + 2 for v in scores[1:])]})
    answer = two_runs(compare(base, new))
    assert answer.word == "cannot tell"
    assert "1 case failed in new, such as p00/32x32x9/0" in answer.text


def test_an_answer_is_one_line():
    assert Answer("a", "b").line == "a: b"
