"""Texts of strangers in Markdown, XML, LaTeX and the terminal: they are shown, and do nothing."""

import json
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.compare.comparison import compare
from sora_eval.runs.folder import RunFolder
from sora_eval_reports.export import junit, latex, report
from sora_eval_reports.source import open_source
from sora_eval_reports.text import gate as verdicts
from sora_eval_reports.text.runs import comparison_markdown
from tests.runs import WORSE, drawn_run, made_hostile

TAGS = ("<img", "<a ", "<script", "<b>", "<code>c", "<h1>h")


def with_gate(run):
    suite = json.loads((run.path / "suite.json").read_text())
    suite["declared"] |= {"metrics": {"clip_score": {}}, "gates": {"clip_score": {"max_decrease": 5.0}}}
    (run.path / "suite.json").write_text(json.dumps(suite))
    return run


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    return [with_gate(made_hostile(drawn_run(root, f"r{i} <b> ![p](q) `c`", prompts=3, seed=i, shift=i))) for i in range(2)]


@pytest.fixture
def result(gate):
    rows = [replace(row, metric=WORSE, slice=WORSE, reason=WORSE, unit=WORSE, limit=WORSE) for row in gate.rows]
    side = {"label": WORSE, "run": WORSE, "suite": {"id": WORSE}}
    return replace(gate, rows=tuple(rows), run=side, baseline={"label": WORSE, "kind": "baseline", "path": WORSE}, sizing=WORSE)


def markdowns(pair, result):
    comparison = compare(*pair)
    return {
        "report": report.report_markdown(open_source([r.path for r in pair])),
        "one": report.report_markdown(open_source([pair[0].path])),
        "comparison": comparison_markdown(comparison, slices=True),
        "gate": verdicts.gate_markdown(result).replace("<details><summary>Why</summary>", "").replace("</details>", ""),
    }


@pytest.mark.parametrize("which", ["report", "one", "comparison", "gate"])
def test_markdown_is_text(pair, result, which):
    text = markdowns(pair, result)[which]
    assert "\x1b" not in text
    assert "\u202e" not in text
    shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    for tag in TAGS:
        assert tag not in shown
    assert "&lt;script&gt;document.title=" in shown


def test_junit_is_text(result, tmp_path):
    junit.write(result, tmp_path / "gate.xml")
    root = ET.parse(tmp_path / "gate.xml").getroot()
    assert {e.tag for e in root.iter()} == {"testsuites", "testsuite", "testcase", "properties", "property", "failure", "error"}
    assert "<script>document.title=" in root.find(".//testcase").get("name")
    assert "\x1b" not in (tmp_path / "gate.xml").read_text()


def test_latex_is_text(pair):
    text = latex.table(open_source([r.path for r in pair]))
    assert r"\input{" not in text
    assert text.startswith("% suite made")
    assert [line[:3] for line in text.splitlines()][1:3] == [r"\be", r"\to"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("report",),
        ("compare", 1),
        ("compare", 1, "--slices"),
        ("compare", 1, "--markdown"),
        ("gate", "--baseline", 1),
        ("report", "--latex"),
        ("history",),
        ("list", "runs", "--root"),
    ],
)
def test_no_control_character_reaches_the_terminal(pair, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    folders = {"history": pair[0].path.parent, "list": None}
    first = folders.get(arguments[0], pair[0].path)
    words = [str(pair[1].path) if word == 1 else word for word in arguments]
    place = [str(first)] if first else []
    command = [words[0], *place, *words[1:]] + ([str(pair[0].path.parent)] if words[0] == "list" else [])
    done = CliRunner().invoke(app, command)
    text = done.output + done.stderr + str(done.exception or "")
    assert done.exception is None or isinstance(done.exception, SystemExit), text
    assert not set("\x1b\x07\u202e") & set(done.output + done.stderr)


def test_a_folder_whose_name_is_not_utf_8_is_reported(tmp_path):
    run = with_gate(drawn_run(tmp_path, "r", prompts=2))
    folder = RunFolder(run.path.rename(tmp_path / "caf\udce9"))
    code = "from sora_eval.cli import main; main()"
    for words in (["report"], ["report", "--html"], ["gate", "--no-strict"], ["compare", folder.path]):
        done = subprocess.run([sys.executable, "-c", code, *words, folder.path], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode in (0, 12), done.stderr.decode()
        assert b"caf\xe9" not in done.stdout
    assert "caf\\udce9" in (folder.path / "report/report.html").read_text()
    assert "caf\\\\udce9" in (folder.path / "report/report.md").read_text()
    assert json.loads((folder.path / "verdicts.json").read_text())["run"]["run"] == "caf\\udce9"
