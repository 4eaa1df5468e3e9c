"""Renderers against files that were looked at. Write them anew with UPDATE_GOLDEN=1."""

import os
import re
from pathlib import Path

import pytest

from sora_eval_reports.export import latex, report
from sora_eval_reports.page import page as html
from sora_eval_reports.source import open_source
from sora_eval_reports.text import tables

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{name} has changed; look at it, then UPDATE_GOLDEN=1"


def test_markdown(pair):
    check("report.md", report.report_markdown(open_source(pair)))


def test_latex(pair):
    check("table.tex", latex.table(open_source(pair)))


@pytest.mark.parametrize("table", ["runs", "timings"])
def test_csv(pair, tmp_path, table):
    tables.write_files(open_source(pair).frames, tmp_path)
    check(f"{table}.csv", (tmp_path / f"{table}.csv").read_text())


def test_html_table(pair):
    """The fragment that a reader without JavaScript sees, one element a line, sort keys left out."""
    page = html.render(open_source(pair), clips=0)
    fragment = re.search(r"<table id=\"table\">.*?</table>", page, re.DOTALL)[0]
    fragment = re.sub(r' data-value="[^"]*"', "", re.sub(r"\s+", " ", fragment))
    check("table.html", re.sub(r" ?(</?(?:table|thead|tbody|tr|th|td)\b)", r"\n\1", fragment).strip() + "\n")


@pytest.mark.parametrize(
    ("text", "written"),
    [("a_b & 5 %", r"a\_b \& 5 \%"), ("{x}^~\\", r"\{x\}\textasciicircum{}\textasciitilde{}\textbackslash{}")],
)
def test_latex_escapes(text, written):
    assert latex.escape(text) == written
