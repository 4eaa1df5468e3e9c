"""The verbs gate, baseline and calibrate: every exit code of the table, the verdict as the last line, and files beside it."""

import json
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from sora_eval.gate import baseline, gate_run
from sora_eval.gate.judge import gate
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import Gate
from sora_eval_reports.export import junit
from sora_eval_reports.text import gate as verdicts
from tests.commands import sora_eval
from tests.runs import make_run

MAIN = "from sora_eval.cli import main; main()"
GATES = {"m": Gate(max_decrease=5.0), "other": Gate(max_increase=5.0, max_decrease=5.0)}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A baseline, and one run for each way that a gate can end."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    base = 10 + rng.standard_normal(24)
    scores = {
        "base": base,
        "worse": base - 3,
        "unclear": base + 6 * rng.standard_normal(24),
        "failed": [*base[:23], "error: no clip"],
    }
    runs = {
        n: make_run(tmp_path / "runs" / n, {"m": v, "other": 3 + 0.01 * rng.standard_normal(24)}, gates=GATES)
        for n, v in scores.items()
    }
    baseline.promote([runs["base"]])
    assert (tmp_path / "baselines/made.json").exists()
    return runs


EXITS = [
    (("gate", "base"), 0, "gate: PASS (2 gates)"),
    (("gate", "base", "--strict"), 0, "gate: PASS (2 gates)"),
    (("gate", "worse"), 10, "gate: REGRESSED (1 of 2 gates: m; 1 PASS)"),
    (("gate", "unclear", "--strict"), 11, "gate: INCONCLUSIVE (1 of 2 gates: m; 1 PASS)"),
    (("gate", "unclear", "--no-strict"), 0, "gate: INCONCLUSIVE (1 of 2 gates: m; 1 PASS)"),
    (("gate", "failed"), 12, "gate: ERROR (1 of 2 gates: m; 1 PASS)"),
    (("gate", "base", "--profile", "desk", "--strict"), 11, "gate: NO_BASELINE (2 gates)"),
]


@pytest.mark.parametrize(("arguments", "code", "last"), EXITS)
def test_every_exit_code_and_the_verdict_as_the_last_line(made, arguments, code, last):
    done = sora_eval(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1] == last
    written = json.loads((made[arguments[1]].path / "verdicts.json").read_text())
    assert written["exit_code"] == code
    assert last == written["headline"]
    assert {r["metric"] for r in written["rows"]} == {"m", "other"}


def test_show_prints_the_table_again_and_the_last_verdict_without_a_write(made):
    run = made["worse"]
    table = sora_eval("show", "worse")
    assert table.returncode == 0, table.stderr
    assert "gate:" not in table.stdout
    assert "runs/worse" in table.stdout
    judged = sora_eval("gate", "worse").stdout
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    assert sora_eval("show", "worse").stdout == table.stdout + judged
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before


def test_show_says_of_a_killed_run_that_it_has_not_ended(made):
    made["worse"].update_head(status="started")
    done = sora_eval("show", "worse")
    assert done.returncode == 0
    assert "--resume runs/worse" in done.stderr


def test_a_bug_exits_1_with_a_traceback(made):
    boom = "import sora_eval.gate.judge as judge\ndef gate(*_, **__): raise ZeroDivisionError\njudge.gate = gate\n" + MAIN
    bug = subprocess.run([sys.executable, "-c", boom, "gate", "base"], capture_output=True, text=True, check=False)
    assert bug.returncode == 1
    assert "Traceback" in bug.stderr


def test_an_interrupt_exits_130(made, monkeypatch):
    def gate(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(gate_run, "gate", gate)
    assert sora_eval("gate", "base").returncode == 130


def test_ci_makes_strict_writes_the_summary_and_junit(made, tmp_path):
    done = sora_eval("gate", "unclear", "--junit", "out/gate.xml", CI="true", GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    assert done.returncode == 11
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## gate: INCONCLUSIVE")
    assert "| m " in summary
    assert "prompts would settle it" in summary
    root = ET.parse(tmp_path / "out/gate.xml").getroot()
    assert root.attrib["tests"] == "2"
    assert root.attrib["failures"] == "1"
    assert sora_eval("gate", "unclear", CI="false").returncode == 0


BAD = [
    (("gate", "gone"), "run 'gone' is not a folder"),
    (("gate", "base", "-b", "gone.json"), "gone.json does not exist; make it with"),
    (("gate", "base", "-b", "bad.json"), "bad.json is damaged"),
    (("gate", "base", "-b", "newer.json"), "schema version 9, but this sora_eval reads up to 5"),
    (("gate", "base", "--suite", "broken.toml"), "broken.toml: not valid TOML"),
    (("gate", "base", "--suite", "quick"), "is not the suite of the run"),
    (("gate", "ungated", "-b", "runs/ungated"), "has no [gates.*]: there is nothing to judge"),
    (("gate", "base", "--junit", "bad.json/x.xml"), "bad.json"),
    (("baseline", "promote", "failed", "--to", "f.json"), "1 of 24 cases failed"),
    (("baseline", "promote", "worse"), "exists; look at the differences above"),
    (("baseline", "promote", "dirty", "--to", "d.json"), "made from a dirty tree"),
    (("baseline", "show", "bad.json"), "bad.json is damaged"),
    (("calibrate", "quick", "--run", "base", "--run", "worse"), "is a run of another suite"),
]


@pytest.fixture
def spoilt(made, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "newer.json").write_text('{"schema_version": 9}')
    (tmp_path / "broken.toml").write_text("[suite")
    values = np.arange(24.0)
    make_run(tmp_path / "runs/ungated", {"m": values})
    make_run(tmp_path / "runs/dirty", {"m": values}, git={"commit": "c", "dirty": True})
    rows = made["failed"].rows(SampleRow)
    made["failed"].replace(SampleRow, [*rows[:-1], rows[-1].model_copy(update={"status": "error", "error": "x"})])
    return tmp_path


def test_what_a_user_can_mend_is_one_message_and_exit_2(spoilt):
    for arguments, message in BAD:
        done = sora_eval(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_promote_shows_the_differences_and_show_says_where_it_comes_from(made):
    refused = sora_eval("baseline", "promote", "worse")
    assert refused.returncode == 2
    assert "-3" in refused.stdout
    promoted = sora_eval("baseline", "promote", "worse", "--force")
    assert promoted.returncode == 0, promoted.stderr
    assert promoted.stdout.splitlines()[-1].endswith("made.json")
    shown = sora_eval("baseline", "show", "baselines/made.json")
    assert "c0ffee" in shown.stdout
    assert "24/24" in shown.stdout
    compared = sora_eval("compare", "baselines/made.json", "base", "worse")
    assert compared.returncode == 0, compared.stderr


# Rendering


@pytest.fixture
def result(made):
    ends = {"m": Gate(max_decrease=5.0), "other": Gate(max_increase=5.0), "gone": Gate(max_increase=5.0)}
    return gate(made["worse"], made["base"], ends, strict=True)


def test_tables_are_worst_first_and_leave_nothing_out(result):
    table = verdicts.verdict_table(result)
    assert list(table["verdict"]) == ["REGRESSED", "MISSING", "PASS"]
    assert list(table["limit"]) == ["-5 %", "+5 %", "+5 %"]
    notes = verdicts.verdict_notes(result)
    assert notes[0].startswith("m: REGRESSED: past the limit of -5 %; p = ")
    assert notes[1] == "gone: MISSING: the new run has no such row"


def test_markdown_holds_no_markup_of_reasons(result):
    rows = tuple(replace(r, reason=r.reason.replace("no such row", "no <script>|row")) for r in result.rows)
    text = verdicts.gate_markdown(replace(result, rows=rows))
    assert "<script>" not in text
    assert "&lt;script>\\|row" in text


@pytest.mark.parametrize("strict", [True, False])
def test_junit_has_a_case_a_row(made, strict):
    ends = {"m": Gate(max_decrease=5.0), "other": Gate(max_increase=5.0), "gone": Gate(max_increase=5.0)}
    worse = gate(made["worse"], made["base"], ends, strict=strict)
    open_row = gate(made["unclear"], made["base"], {"m": ends["m"]}, strict=strict)
    root = junit.element(worse)
    assert [c.attrib["name"] for c in root.iter("testcase")] == ["m -5 %", "other +5 %", "gone +5 %"]
    assert [[e.tag for e in c if e.tag != "properties"] for c in root.iter("testcase")] == [["failure"], [], ["error"]]
    assert open_row.verdict is Verdict.INCONCLUSIVE
    kind = next(c for c in junit.element(open_row).iter("testcase"))[1]
    assert kind.tag == ("failure" if strict else "skipped")
    assert kind.attrib["message"].startswith("INCONCLUSIVE: ")


def test_junit_is_valid_xml_whatever_a_reason_holds(result):
    rows = (replace(result.rows[0], reason="bell \x07 <&> \ud800"), *result.rows[1:])
    text = ET.tostring(junit.element(replace(result, rows=rows)), encoding="unicode")
    assert "bell \ufffd" in next(ET.fromstring(text).iter("failure")).attrib["message"]
